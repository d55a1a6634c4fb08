//! Random requests on a database and on the model in memory at once: every answer and all that is stored must be equal.
//!
//! A run is made of its seed alone. Values are drawn from few, so that rows meet: keys and unique values clash, rows
//! refer to each other, etags are old, sessions end. When the two differ, the seed is printed; put it into [`FOUND`]
//! until the defect has a test of its own.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows tests only by their attribute")]

mod requests;
mod support;

use kit_core::{Applied, Code};
use requests::{Dice, ENTITIES, Request};
use rowkeep_engine::MemoryRows;
use rowkeep_engine::conformance::{Answer, Failure, Lab, SECOND, Subject, schema};
use serde_json::{Value as Json, json};
use testkit::Product;

/// Seeds that once told the two apart.
const FOUND: &[u64] = &[4_976_716_626_414_166_338, 13_238_303_888_153_854_667];
/// Runs from fresh seeds.
const RUNS: u64 = 12;
/// Requests of a run.
const STEPS: usize = 120;

/// The two stores, whose clocks show the same.
struct Pair {
    model: Lab,
    tested: Lab,
    apis: [Subject; 2],
}

/// What the model is held against.
#[derive(Debug, Clone, Copy)]
enum Tested {
    Sqlite,
    Server(Product),
}

const ALL: [Tested; 3] = [Tested::Sqlite, Tested::Server(Product::MariaDb), Tested::Server(Product::MySql)];

impl Tested {
    fn lab(self) -> Lab {
        match self {
            Self::Sqlite => {
                let (rows, directory) = support::sqlite();
                Lab::new(rows, directory)
            }
            Self::Server(product) => {
                let (rows, database) = support::servers::store(product);
                Lab::new(rows, database)
            }
        }
    }
}

impl Pair {
    fn new(tested: Tested) -> Self {
        let (model, tested) = (Lab::new(MemoryRows::new(&schema()), ()), tested.lab());
        let apis = [model.api(), tested.api()];
        Self { model, tested, apis }
    }

    fn advance(&self, seconds: i64) {
        self.model.clock.advance(seconds * SECOND);
        self.tested.clock.advance(seconds * SECOND);
    }

    fn sweep(&self) {
        assert_eq!(self.model.sweep(), self.tested.sweep(), "rows swept");
    }

    /// What both answer.
    fn call(&self, request: &Request) -> Result<Answer, Box<Failure>> {
        let [model, tested] = self.apis.each_ref().map(|api| api.try_call(&request.method, &request.body));
        assert_eq!(essence(&model), essence(&tested), "left is the model");
        model
    }

    /// Everything that is stored, hidden rows too.
    fn compare_rows(&self) {
        for entity in ENTITIES {
            let method = format!("List{}", self.apis[0].entity(entity).plural);
            let body = match self.apis[0].entity(entity).soft_delete {
                Some(_) => json!({ "showDeleted": true, "pageSize": 1000 }),
                None => json!({ "pageSize": 1000 }),
            };
            self.call(&Request { method, body }).unwrap();
        }
    }
}

/// What clients may build on; which of several reasons a message names first is not.
type Essence = Result<(Json, Option<String>), (Code, String, Applied, Vec<(String, String)>)>;

fn essence(answered: &Result<Answer, Box<Failure>>) -> Essence {
    match answered {
        Ok(answer) => Ok((answer.body.clone(), answer.etag.clone())),
        Err(failure) => Err((failure.code, failure.reason.clone(), failure.applied, failure.fields.clone())),
    }
}

/// Says which run it was and how it came to its end.
struct Report {
    tested: Tested,
    seed: u64,
    history: Vec<String>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.history.len().saturating_sub(12);
            println!("the last steps:\n{}", self.history[from..].join("\n"));
            println!("seed {} tells {:?} and the model apart", self.seed, self.tested);
        }
    }
}

fn run(tested: Tested, seed: u64) -> (usize, usize) {
    let pair = Pair::new(tested);
    let mut dice = Dice::new(seed);
    if matches!(tested, Tested::Server(_)) {
        // A server does not take back a number whose row was not committed after all.
        dice.give_ids();
    }
    let mut report = Report { tested, seed, history: Vec::new() };
    let mut done = (0, 0);
    for _ in 0..STEPS {
        if dice.one_in(12) {
            let seconds = dice.up_to(20);
            report.history.push(format!("{seconds} seconds pass"));
            pair.advance(seconds);
        }
        if dice.one_in(25) {
            report.history.push("sweep".to_owned());
            pair.sweep();
        }
        let request = dice.request();
        report.history.push(format!("{} {}", request.method, request.body));
        let answered = pair.call(&request);
        match &answered {
            Ok(answer) => {
                done.0 += 1;
                dice.learn(&request, answer);
            }
            Err(failure) => {
                done.1 += 1;
                assert_ne!(failure.code, Code::Internal, "{failure:?}");
                report.history.push(format!("    refused: {}", failure.reason));
            }
        }
    }
    pair.compare_rows();
    done
}

fn answers_as_the_model_does(tested: Tested, runs: u64) {
    let (mut fine, mut refused) = (0, 0);
    for _ in 0..runs {
        let done = run(tested, rand::random());
        (fine, refused) = (fine + done.0, refused + done.1);
    }
    // A run that does nothing, or that nothing refuses, compares nothing.
    assert!(fine * 4 > refused && refused * 10 > fine, "{fine} answered, {refused} refused");
}

#[test]
fn sqlite_answers_random_requests_as_the_model_does() {
    answers_as_the_model_does(Tested::Sqlite, RUNS);
}

#[test]
fn mariadb_answers_random_requests_as_the_model_does() {
    answers_as_the_model_does(Tested::Server(Product::MariaDb), RUNS);
}

#[test]
fn mysql_answers_random_requests_as_the_model_does() {
    answers_as_the_model_does(Tested::Server(Product::MySql), RUNS);
}

#[test]
fn seeds_that_found_something_stay_found() {
    for seed in FOUND {
        for tested in ALL {
            run(tested, *seed);
        }
    }
}

#[test]
#[ignore = "long: three hundred runs on each database"]
fn many_random_requests_are_answered_as_by_the_model() {
    for tested in ALL {
        answers_as_the_model_does(tested, 300);
    }
}
