//! Each step of the port, as a request and what its answer says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{Cmd, Value};
use rowkeep_cache::remote::{Beginning, Entry, Failed, Heard, Horizon, Leased, Looked, Name, Telling};

use crate::client::Inner;
use crate::link::Request;
use crate::scripts::{self, Script};
use crate::values::{self, Held};

/// Slots that a writer has dropped in one step, during which a server does nothing else.
const DROPPED_TOGETHER: usize = 5000;

impl Inner {
    fn script(&self, script: &'static Script, shard: usize, slots: &[Name], arguments: Vec<Vec<u8>>) -> Request {
        let slots = slots.iter().map(|name| self.keys.slot(shard, name));
        let keys = std::iter::once(self.keys.horizon(shard).to_vec()).chain(slots).collect();
        Request::Script { script, keys, arguments }
    }

    fn read_horizon(&self, shard: usize, text: &[u8]) -> Option<Horizon> {
        let horizon = values::horizon(self.keys.horizon(shard), text);
        if horizon.is_none() {
            self.garbage.fetch_add(1, Ordering::Relaxed);
        }
        horizon
    }

    pub(crate) async fn begin(&self, shard: usize, beginning: Beginning) -> Result<Option<Horizon>, Failed> {
        let anew = beginning.anew.map(|incarnation| incarnation.to_be_bytes().to_vec());
        let arguments =
            vec![beginning.history.to_be_bytes().to_vec(), values::runs(&beginning.place), anew.unwrap_or_default()];
        let request = self.script(&scripts::BEGIN, shard, &[], arguments);
        match self.tells.ask(shard, &request, self.options.tell_timeout).await? {
            Value::Nil => Ok(None),
            Value::BulkString(text) => Ok(self.read_horizon(shard, &text)),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn tell(&self, shard: usize, telling: Telling) -> Result<Heard, Failed> {
        let arguments = vec![
            telling.incarnation.to_be_bytes().to_vec(),
            values::runs(&telling.from),
            values::runs(&telling.to),
            telling.rewritten.iter().flat_map(|entity| entity.0.to_be_bytes()).collect(),
        ];
        let request = self.script(&scripts::TELL, shard, &telling.names, arguments);
        match self.tells.ask(shard, &request, self.options.tell_timeout).await? {
            Value::Int(0) => Ok(Heard::Told),
            Value::Int(1) => Ok(Heard::Other),
            Value::Int(2) => Ok(Heard::Behind),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn get(self: &Arc<Self>, shard: usize, names: Vec<Name>) -> Result<Looked, Failed> {
        let mut command = Cmd::with_capacity(2 + names.len(), 64 * (1 + names.len()));
        command.arg("MGET").arg(self.keys.horizon(shard));
        for name in &names {
            command.arg(self.keys.slot(shard, name));
        }
        let answer = self.lane().ask(shard, &Request::Command(command), self.options.read_timeout).await?;
        let texts = match answer {
            Value::Array(texts) if texts.len() == names.len() + 1 => texts,
            other => return Err(unexpected(&other)),
        };
        let mut texts = texts.into_iter();
        let horizon = match texts.next() {
            Some(Value::BulkString(text)) => self.read_horizon(shard, &text),
            _ => None,
        };
        let Some(known) = &horizon else {
            return Ok(Looked { horizon: None, entries: vec![None; names.len()] });
        };
        let entry = |(name, text): (&Name, Value)| match text {
            Value::BulkString(text) => self.read_entry(shard, known, name, text),
            _ => None,
        };
        let entries = names.iter().zip(texts).map(entry).collect();
        Ok(Looked { horizon, entries })
    }

    fn read_entry(self: &Arc<Self>, shard: usize, known: &Horizon, name: &Name, text: Vec<u8>) -> Option<Entry> {
        match values::held(self.keys.horizon(shard), name, text) {
            Held::Entry(entry) => counts(known, name, &entry).then_some(entry),
            Held::Lease => None,
            Held::Garbage => {
                self.garbage.fetch_add(1, Ordering::Relaxed);
                let (inner, name) = (Arc::clone(self), name.clone());
                // Nobody waits for it, and the next one would find the same.
                tokio::spawn(async move { inner.retract(shard, vec![name]).await });
                None
            }
        }
    }

    pub(crate) async fn lease(&self, shard: usize, name: Name, token: u128, time: Duration) -> Result<Leased, Failed> {
        let leased = self.try_lease(shard, &name, token, time).await?;
        if let Some(leased) = leased {
            return Ok(leased);
        }
        // It holds what looks like an entry and is none.
        self.garbage.fetch_add(1, Ordering::Relaxed);
        self.retract(shard, vec![name.clone()]).await?;
        Ok(self.try_lease(shard, &name, token, time).await?.unwrap_or(Leased::Awaited))
    }

    /// `None` if the slot holds garbage.
    async fn try_lease(
        &self,
        shard: usize,
        name: &Name,
        token: u128,
        time: Duration,
    ) -> Result<Option<Leased>, Failed> {
        let arguments = vec![entity(name), token.to_be_bytes().to_vec(), milliseconds(time)];
        let request = self.script(&scripts::LEASE, shard, std::slice::from_ref(name), arguments);
        let answer = self.lane().ask(shard, &request, self.options.read_timeout).await?;
        let Value::Array(parts) = answer else { return Err(unexpected(&answer)) };
        let horizon = |text: &[u8]| {
            self.read_horizon(shard, text)
                .ok_or_else(|| Failed::Refused("it wrote a horizon that cannot be read".to_owned()))
        };
        match <[Value; 3]>::try_from(padded(parts)) {
            Ok([Value::Int(0), Value::BulkString(known), _]) => Ok(Some(Leased::Given(horizon(&known)?))),
            Ok([Value::Int(1), Value::BulkString(known), Value::BulkString(text)]) => {
                let known = horizon(&known)?;
                Ok(match values::held(self.keys.horizon(shard), name, text) {
                    Held::Entry(entry) if counts(&known, name, &entry) => Some(Leased::Filled(known, entry)),
                    Held::Entry(_) | Held::Lease | Held::Garbage => None,
                })
            }
            Ok([Value::Int(2), ..]) => Ok(Some(Leased::Awaited)),
            Ok([Value::Int(3), ..]) => Ok(Some(Leased::Untold)),
            Ok([other, ..]) => Err(unexpected(&other)),
            Err(other) => Err(unexpected(&Value::Array(other))),
        }
    }

    pub(crate) async fn fill(
        &self,
        shard: usize,
        name: Name,
        token: u128,
        entry: Entry,
        time: Duration,
    ) -> Result<bool, Failed> {
        let arguments = vec![
            entity(&name),
            values::lease(entry.incarnation, entry.generation, token),
            values::entry(self.keys.horizon(shard), &name, &entry),
            milliseconds(time),
        ];
        let request = self.script(&scripts::FILL, shard, std::slice::from_ref(&name), arguments);
        match self.lane().ask(shard, &request, self.options.read_timeout).await? {
            Value::Int(filled) => Ok(filled == 1),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) async fn retract(&self, shard: usize, names: Vec<Name>) -> Result<(), Failed> {
        let lane = self.lane();
        for piece in names.chunks(DROPPED_TOGETHER) {
            let mut command = Cmd::with_capacity(1 + piece.len(), 64 * (1 + piece.len()));
            command.arg("UNLINK");
            for name in piece {
                command.arg(self.keys.slot(shard, name));
            }
            lane.ask(shard, &Request::Command(command), self.options.read_timeout).await?;
        }
        Ok(())
    }
}

/// Whether an entry is of the shard as it is: neither made anew nor rewritten since.
fn counts(horizon: &Horizon, name: &Name, entry: &Entry) -> bool {
    let rewritten = horizon.rewritten.iter().find(|(entity, _)| *entity == name.entity);
    entry.incarnation == horizon.incarnation && entry.generation == rewritten.map_or(0, |(_, count)| *count)
}

fn entity(name: &Name) -> Vec<u8> {
    name.entity.0.to_be_bytes().to_vec()
}

/// A time to live, which is never none.
fn milliseconds(time: Duration) -> Vec<u8> {
    // Beyond this the server refuses them: they would end after its calendar does.
    const CENTURY: u128 = 100 * 366 * 24 * 3600 * 1000;
    time.as_millis().clamp(1, CENTURY).to_string().into_bytes()
}

fn padded(mut parts: Vec<Value>) -> Vec<Value> {
    while parts.len() < 3 {
        parts.push(Value::Nil);
    }
    parts
}

fn unexpected(answer: &Value) -> Failed {
    let kind = match answer {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        Value::Array(_) => "a list",
        _ => "something else",
    };
    Failed::Refused(format!("it answers with {kind}"))
}
