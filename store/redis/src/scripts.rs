//! The steps that change something, each of which the server runs as one.
//!
//! They run alike on every version since 6.0 and on Valkey, and write what follows from their arguments and keys alone, so that
//! replicas may run them, too. A script is refused in its middle when no memory is left. Since version 7 it may say that it is to
//! run nevertheless: so does what frees memory and keeps the horizon right, whose size hardly changes. An older server refuses
//! the horizon then; the slots have been dropped before, and who tells finds that it failed.

use std::sync::LazyLock;

use redis::Cmd;
use sha1::{Digest, Sha1};

/// Keys: the horizon. Arguments: history, place, the incarnation or nothing. Answers the horizon, or nil.
pub(crate) static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/begin.lua"), true));

/// Keys: the horizon, slots. Arguments: incarnation, from, to, the rewritten entities, `1` if more follows. Answers 0 if it
/// is told, 1 if the shard is another one, 2 if it is behind.
pub(crate) static TELL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/tell.lua"), true));

/// Keys: the horizon, the slot. Arguments: entity, token, milliseconds. Answers 0 and the horizon if the lease is given; 1, the
/// horizon and what the slot holds; 2 if somebody else has it; 3 if there is no horizon.
pub(crate) static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/lease.lua"), false));

/// Keys: the horizon, the slot. Arguments: entity, the lease, the entry, milliseconds. Answers 1 if the lease was there, else 0.
pub(crate) static FILL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/fill.lua"), false));

/// A script as it is, and for servers that let it run without memory.
pub(crate) struct Script {
    plain: Text,
    unbound: Option<Text>,
}

struct Text {
    source: String,
    digest: String,
}

impl Script {
    fn new(body: &str, runs_without_memory: bool) -> Self {
        let source = [include_str!("scripts/shared.lua"), body].concat();
        let unbound = runs_without_memory.then(|| Text::new(format!("#!lua flags=allow-oom\n{source}")));
        Self { plain: Text::new(source), unbound }
    }

    /// The command that runs it, by its digest or whole.
    pub(crate) fn command(&self, keys: &[Vec<u8>], arguments: &[Vec<u8>], how: How) -> Cmd {
        let text = self.unbound.as_ref().filter(|_| how.knows_flags).unwrap_or(&self.plain);
        let (name, script) = if how.is_whole { ("EVAL", &text.source) } else { ("EVALSHA", &text.digest) };
        let size = keys.iter().chain(arguments).map(Vec::len).sum::<usize>() + script.len() + 16;
        let mut command = Cmd::with_capacity(3 + keys.len() + arguments.len(), size);
        command.arg(name).arg(script).arg(keys.len());
        for text in keys.iter().chain(arguments) {
            command.arg(text.as_slice());
        }
        command
    }
}

/// How a script is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// The server knows what a script says of itself in its first line.
    pub(crate) knows_flags: bool,
    /// The server does not have it yet.
    pub(crate) is_whole: bool,
}

impl Text {
    fn new(source: String) -> Self {
        let digest = Sha1::digest(&source);
        let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { source, digest }
    }
}
