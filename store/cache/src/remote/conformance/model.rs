//! Random steps, which have to be answered as the server in memory answers them.

use std::fmt::Debug;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rowkeep_engine::{Run, Runs};
use rowkeep_schema::EntityId;
use tokio::runtime::Handle;

use super::stage::{HOUR, Stage};
use crate::remote::{Beginning, Entry, Failed, MemoryRemote, Name, Remote, Telling};

const STEPS: usize = 4000;
/// Few of each, so that steps meet.
const HISTORIES: [u128; 2] = [0, u128::MAX];
const SOURCES: [u128; 2] = [1 << 64, u128::MAX];
/// Where numbers start: some lie beyond what a float holds.
const BASES: [u64; 4] = [0, (1 << 32) - 4, (1 << 53) - 4, u64::MAX - 4];
const ENTITIES: [u16; 2] = [0, 300];

pub fn random_steps_are_answered_as_by_the_server_in_memory(stage: &Stage) {
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    let shards = stage.one.remote.shards();
    let mut walk = Walk {
        remotes: [&*stage.one.remote, &*stage.other.remote],
        twin: MemoryRemote::new(shards),
        runtime: stage.runtime().clone(),
        random: StdRng::seed_from_u64(seed),
        shards: shards.min(2),
        incarnations: vec![0],
        seed,
        steps: Vec::new(),
    };
    for _ in 0..STEPS {
        walk.step();
    }
}

struct Walk<'a> {
    remotes: [&'a dyn Remote; 2],
    twin: MemoryRemote,
    runtime: Handle,
    random: StdRng,
    shards: usize,
    /// Those that were proposed: none is used twice.
    incarnations: Vec<u64>,
    seed: u64,
    /// What was asked and answered.
    steps: Vec<String>,
}

impl Walk<'_> {
    fn step(&mut self) {
        let shard = self.random.random_range(0..self.shards);
        match self.random.random_range(0..100) {
            0..4 => self.begin(shard),
            4..24 => self.tell(shard),
            24..50 => {
                let names: Vec<_> = (0..self.random.random_range(0..4)).map(|_| self.name()).collect();
                self.both(&format!("get {names:?}"), |remote| remote.get(shard, names.clone()));
            }
            50..72 => {
                let (name, token) = (self.name(), self.random.random_range(0..3));
                self.both(&format!("lease {name:?} {token}"), |remote| remote.lease(shard, name.clone(), token, HOUR));
            }
            72..96 => self.fill(shard),
            _ => {
                let names: Vec<_> = (0..self.random.random_range(0..3)).map(|_| self.name()).collect();
                self.both(&format!("retract {names:?}"), |remote| remote.retract(shard, names.clone()));
            }
        }
    }

    fn begin(&mut self, shard: usize) {
        let anew = self.random.random_bool(0.7).then(|| self.random.random());
        self.incarnations.extend(anew);
        let beginning = Beginning { history: self.one(&HISTORIES), place: self.place(), anew };
        self.both(&format!("{beginning:?}"), |remote| remote.begin(shard, beginning.clone()));
    }

    fn tell(&mut self, shard: usize) {
        let known = self.twin.horizon(shard).filter(|_| self.random.random_bool(0.8));
        let telling = Telling {
            incarnation: known.as_ref().map_or_else(|| self.incarnation(), |known| known.incarnation),
            from: known.map_or_else(|| self.place(), |known| known.told),
            to: self.place(),
            names: (0..self.random.random_range(0..3)).map(|_| self.name()).collect(),
            rewritten: (0..self.random.random_range(0..8) / 6).map(|_| EntityId(self.one(&ENTITIES))).collect(),
        };
        self.both(&format!("{telling:?}"), |remote| remote.tell(shard, telling.clone()));
    }

    fn fill(&mut self, shard: usize) {
        let (name, token) = (self.name(), self.random.random_range(0..3));
        let known = self.twin.horizon(shard).filter(|_| self.random.random_bool(0.9));
        let generation = |known: &crate::remote::Horizon| {
            known.rewritten.iter().find(|(entity, _)| *entity == name.entity).map_or(0, |(_, count)| *count)
        };
        let entry = Entry {
            incarnation: known.as_ref().map_or_else(|| self.incarnation(), |known| known.incarnation),
            generation: known.as_ref().map_or_else(|| self.random.random_range(0..3), generation),
            value: Bytes::from(self.random.random::<u64>().to_string()),
        };
        self.both(&format!("fill {name:?} {token} {entry:?}"), |remote| {
            remote.fill(shard, name.clone(), token, entry.clone(), HOUR)
        });
    }

    fn both<T: PartialEq + Debug>(
        &mut self,
        step: &str,
        ask: impl Fn(&dyn Remote) -> kit_core::Reply<'_, Result<T, Failed>>,
    ) {
        let remote = self.remotes[self.random.random_range(0..2)];
        let answered = self.runtime.block_on(ask(remote));
        let expected = self.runtime.block_on(ask(&self.twin));
        self.steps.push(format!("{step} -> {expected:?}"));
        if answered != expected {
            let last = self.steps[self.steps.len().saturating_sub(20)..].join("\n");
            panic!("answered {answered:?}\nwith TEST_SEED={}, after\n{last}", self.seed);
        }
    }

    /// One of the last.
    fn incarnation(&mut self) -> u64 {
        let last = &self.incarnations[self.incarnations.len().saturating_sub(3)..];
        *last.choose(&mut self.random).unwrap()
    }

    /// Commits of either source, sometimes with holes between.
    fn place(&mut self) -> Runs {
        let mut runs = Runs::default();
        for source in SOURCES {
            for _ in 0..self.random.random_range(0..4) / 2 {
                let base = self.one(&BASES);
                let last = base.saturating_add(self.random.random_range(0..8));
                let first = if self.random.random_bool(0.6) {
                    0
                } else {
                    last - (last - base).min(self.random.random_range(0..4))
                };
                runs.add(Run { source, first, last });
            }
        }
        runs
    }

    fn name(&mut self) -> Name {
        let bytes = format!("row {}", self.random.random_range(0..2));
        Name { entity: EntityId(self.one(&ENTITIES)), bytes: bytes.into() }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.random).unwrap()
    }
}
