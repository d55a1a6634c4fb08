//! Reads, parses and links the files of a schema and all they import.
//!
//! Imports are looked for in this order: Rowkeep's own files, the files given, the include directories, the directories
//! of the files given, the copies of well-known files that are built in.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use prost_reflect::DescriptorPool;
use protox::Compiler;
use protox::file::{File, FileResolver, GoogleFileResolver};

use crate::builtin;
use crate::diagnostics::Diagnostics;
use crate::explain::explain;
use crate::sources::Sources;
use crate::text_check;

/// What a schema is compiled from.
#[derive(Debug, Clone, Default)]
pub struct CompileOptions {
    /// The `.proto` files.
    pub files: Vec<PathBuf>,
    /// Directories that imports start from (`-I`).
    pub includes: Vec<PathBuf>,
}

/// A file given by the user.
enum Given {
    At(PathBuf),
    Text(String),
}

/// Linked files with their texts.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) pool: DescriptorPool,
    pub(crate) sources: Sources,
}

pub(crate) fn link_files(options: &CompileOptions) -> Result<Linked, Diagnostics> {
    let mut problems = Diagnostics::default();
    if options.files.is_empty() {
        problems.error(None, "no schema file given", "name a .proto file");
    }
    for include in options.includes.iter().filter(|include| !include.is_dir()) {
        problems.error(None, format!("include directory `{}` does not exist", include.display()), "");
    }
    let mut roots = options.includes.clone();
    let mut given: Vec<(String, Given)> = Vec::new();
    for path in &options.files {
        let (root, name) = place_file(path, &options.includes);
        let taken = given.iter().any(|(other, at)| *other == name && !matches!(at, Given::At(p) if same_file(p, path)));
        if taken {
            let help = "give -I with the directory that imports start from";
            problems.error(None, format!("two files are called `{name}`"), help);
        }
        if !roots.contains(&root) {
            roots.push(root);
        }
        given.push((name, Given::At(path.clone())));
    }
    if problems.has_errors() {
        return Err(problems);
    }
    link(given, roots)
}

pub(crate) fn link_texts(files: &[(&str, &str)]) -> Result<Linked, Diagnostics> {
    let given = files.iter().map(|(name, text)| ((*name).to_owned(), Given::Text((*text).to_owned())));
    link(given.collect(), Vec::new())
}

fn link(given: Vec<(String, Given)>, roots: Vec<PathBuf>) -> Result<Linked, Diagnostics> {
    let names: Vec<String> = given.iter().map(|(name, _)| name.clone()).collect();
    let state = Rc::new(State::default());
    let google = GoogleFileResolver::new();
    let loader = Loader { given: given.into_iter().collect(), roots, google, state: Rc::clone(&state) };
    let mut compiler = Compiler::with_file_resolver(loader);
    compiler.include_imports(true).include_source_info(true);
    let needed = [builtin::OPTIONS_PATH].into_iter().chain(crate::derive::REQUIRED_IMPORTS);
    for name in names.iter().map(String::as_str).chain(needed) {
        state.reported.set(false);
        if let Err(error) = compiler.open_file(name)
            && !state.reported.get()
        {
            explain(&error, &state.sources.borrow(), &mut state.problems.borrow_mut());
        }
    }
    let pool = compiler.descriptor_pool();
    let mut problems = state.problems.take();
    if problems.has_errors() {
        problems.sort();
        return Err(problems);
    }
    Ok(Linked { pool, sources: state.sources.take() })
}

/// The directory that imports of the file start from, and its import path from there.
fn place_file(path: &Path, includes: &[PathBuf]) -> (PathBuf, String) {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for include in includes {
        let root = include.canonicalize().unwrap_or_else(|_| include.clone());
        if let Some(name) = real.strip_prefix(&root).ok().and_then(import_path) {
            return (include.clone(), name);
        }
    }
    let own = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    package_root(path, &real, &file_name).unwrap_or((own, file_name))
}

/// A file of package `shop.v1` that lies in `protos/shop/v1` is `shop/v1/….proto` from `protos`, as imports expect.
fn package_root(path: &Path, real: &Path, file_name: &str) -> Option<(PathBuf, String)> {
    let text = std::fs::read_to_string(path).ok()?;
    let package = text.lines().find_map(|line| line.trim().strip_prefix("package ")?.split(';').next())?.trim();
    let mut root = real.parent()?;
    for segment in package.rsplit('.') {
        if root.file_name()?.to_str()? != segment {
            return None;
        }
        root = root.parent()?;
    }
    Some((root.to_owned(), format!("{}/{file_name}", package.replace('.', "/"))))
}

fn import_path(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    parts.map(|parts| parts.join("/")).filter(|path| !path.is_empty())
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[derive(Default)]
struct State {
    sources: RefCell<Sources>,
    problems: RefCell<Diagnostics>,
    /// A problem of the file being opened has been written down already.
    reported: Cell<bool>,
    /// Import path of each file read, by its real path.
    read: RefCell<HashMap<PathBuf, String>>,
}

struct Loader {
    given: HashMap<String, Given>,
    roots: Vec<PathBuf>,
    google: GoogleFileResolver,
    state: Rc<State>,
}

impl FileResolver for Loader {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if let Some(text) = builtin::own(name) {
            return File::from_source(name, text);
        }
        match self.given.get(name) {
            Some(Given::Text(text)) => return self.parse(name, name.to_owned(), text.clone()),
            Some(Given::At(path)) => return self.read(name, path),
            None => {}
        }
        if let Some(path) = self.roots.iter().map(|root| root.join(name)).find(|path| path.is_file()) {
            return self.read(name, &path);
        }
        match builtin::third_party(name) {
            Some(text) => File::from_source(name, text),
            None => self.google.open_file(name),
        }
    }
}

impl Loader {
    fn read(&self, name: &str, path: &Path) -> Result<File, protox::Error> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(other) = self.state.read.borrow().get(&real).filter(|other| *other != name) {
            let message = format!("`{}` is imported under two names, `{other}` and `{name}`", path.display());
            return Err(self.report(message, "give -I with the directory that imports start from"));
        }
        self.state.read.borrow_mut().insert(real, name.to_owned());
        match std::fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => self.parse(name, path.display().to_string(), text),
                Err(_) => Err(self.report(format!("`{}` is not UTF-8 text", path.display()), "save it as UTF-8")),
            },
            Err(error) => Err(self.report(format!("cannot read `{}`: {error}", path.display()), "")),
        }
    }

    fn parse(&self, name: &str, shown: String, text: String) -> Result<File, protox::Error> {
        let mut sources = self.state.sources.borrow_mut();
        sources.add(name, shown, text.clone());
        if let Some(problem) = text_check::check(&text) {
            let place = sources.place(name, problem.range);
            self.state.problems.borrow_mut().error(place, problem.message, problem.help);
            return Err(self.reported());
        }
        File::from_source(name, &text)
    }

    fn report(&self, message: String, help: &str) -> protox::Error {
        self.state.problems.borrow_mut().error(None, message, help);
        self.reported()
    }

    fn reported(&self) -> protox::Error {
        self.state.reported.set(true);
        protox::Error::new("reported")
    }
}
