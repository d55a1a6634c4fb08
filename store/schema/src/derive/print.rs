//! A derived file as text, in the style of `buf format`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::file::{Field, FieldType, File, Label, Message, Rpc, Service, scalar_keyword};

/// Prints the file. `names` are all packages and top-level names it may be linked with; a reference that one of them
/// would capture is written with a leading dot.
pub(super) fn print(file: &File, names: &BTreeSet<String>) -> String {
    let mut printer = Printer { out: String::new(), package: &file.package, names };
    printer.comment("", &file.comment);
    printer.line("syntax = \"proto3\";");
    printer.line("");
    if !file.package.is_empty() {
        printer.line(&format!("package {};", file.package));
        printer.line("");
    }
    for import in &file.imports {
        printer.line(&format!("import \"{import}\";"));
    }
    for service in &file.services {
        printer.line("");
        printer.service(service);
    }
    for message in &file.messages {
        printer.line("");
        printer.message(message);
    }
    printer.out
}

struct Printer<'a> {
    out: String,
    package: &'a str,
    names: &'a BTreeSet<String>,
}

impl Printer<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn comment(&mut self, indent: &str, comment: &str) {
        for line in comment.lines() {
            let _ = writeln!(self.out, "{indent}// {line}");
        }
    }

    fn service(&mut self, service: &Service) {
        self.comment("", &service.comment);
        self.line(&format!("service {} {{", service.name));
        for (i, rpc) in service.methods.iter().enumerate() {
            if i > 0 {
                self.line("");
            }
            self.rpc(rpc);
        }
        self.line("}");
    }

    fn rpc(&mut self, rpc: &Rpc) {
        self.comment("  ", &rpc.comment);
        let (input, output) = (self.reference(&rpc.input), self.reference(&rpc.output));
        let stream = if rpc.streams { "stream " } else { "" };
        self.line(&format!("  rpc {}({input}) returns ({stream}{output}) {{", rpc.name));
        let option = self.reference("google.api.http");
        let rule = format!("{}: \"{}\"", rpc.http.verb.to_ascii_lowercase(), rpc.http.path);
        match &rpc.http.body {
            None => self.line(&format!("    option ({option}) = {{{rule}}};")),
            Some(body) => {
                self.line(&format!("    option ({option}) = {{"));
                self.line(&format!("      {rule}"));
                self.line(&format!("      body: \"{body}\""));
                self.line("    };");
            }
        }
        self.line("  }");
    }

    fn message(&mut self, message: &Message) {
        self.comment("", &message.comment);
        self.line(&format!("message {} {{", message.name));
        let mut open = None;
        for field in &message.fields {
            let oneof = if let Label::OneOf(name) = field.label { Some(name) } else { None };
            self.oneof(&mut open, oneof);
            self.field(field, if oneof.is_some() { "    " } else { "  " });
        }
        self.oneof(&mut open, None);
        self.line("}");
    }

    /// Goes from one oneof, or none, to another.
    fn oneof(&mut self, open: &mut Option<&'static str>, next: Option<&'static str>) {
        if *open == next {
            return;
        }
        if open.is_some() {
            self.line("  }");
        }
        if let Some(name) = next {
            self.line(&format!("  oneof {name} {{"));
        }
        *open = next;
    }

    fn field(&mut self, field: &Field, indent: &str) {
        self.comment(indent, &field.comment);
        let ty = match &field.ty {
            FieldType::Scalar(scalar) => scalar_keyword(*scalar).to_owned(),
            FieldType::Enum(name) | FieldType::Message(name) => self.reference(name),
        };
        self.line(&format!("{indent}{}{ty} {} = {};", field.label.keyword(), field.name, field.number));
    }

    /// A type's name, as short as it can be: without the package inside it, with a leading dot where an inner scope
    /// (`shop.google` inside `shop.v1`) would be found first.
    fn reference(&self, full_name: &str) -> String {
        let local = match self.package {
            "" => Some(full_name),
            package => full_name.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')),
        };
        if let Some(local) = local
            && !local.contains('.')
            && local.starts_with(|c: char| c.is_ascii_uppercase())
        {
            return local.to_owned();
        }
        let first = full_name.split('.').next().unwrap_or(full_name);
        let mut scope = self.package;
        while !scope.is_empty() {
            if self.names.contains(&format!("{scope}.{first}")) {
                return format!(".{full_name}");
            }
            scope = scope.rfind('.').map_or("", |dot| &scope[..dot]);
        }
        // A type without a package, or one in lower case that could be read as a keyword.
        if full_name.contains('.') { full_name.to_owned() } else { format!(".{full_name}") }
    }
}
