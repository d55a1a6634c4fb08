//! Transfers between accounts: whoever looks at all of them finds all the money, and no account is overdrawn.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use rand::Rng as _;
use rand::rngs::StdRng;
use rowkeep_engine::conformance::{Answer, Subject};
use serde_json::{Value as Json, json};

use crate::stage::{Ending, Workload, number, packed, rows};

const ACCOUNTS: i64 = 20;
const EACH: i64 = 20;

/// Balances by account.
type Balances = BTreeMap<i64, i64>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Transfer {
    source: i64,
    target: i64,
    amount: i64,
}

/// What was tried and seen.
#[derive(Debug, Default)]
struct History {
    /// By the id of the row that is committed with it.
    transfers: BTreeMap<i64, (Transfer, Ending)>,
    /// Lists of all accounts, each one answer.
    seen: Vec<Balances>,
}

/// See the [module](self).
pub(crate) struct Bank {
    clients: usize,
    next: AtomicI64,
    history: Mutex<History>,
}

impl Bank {
    pub(crate) fn new(clients: usize) -> Self {
        Self { clients, next: AtomicI64::new(1), history: Mutex::default() }
    }

    fn look(&self, store: &Subject) -> bool {
        let Ok(answer) = store.try_call("ListAccounts", &json!({ "pageSize": 1000 })) else { return false };
        let seen = balances(&store.rows("Account", &answer.body));
        self.history.lock().unwrap().seen.push(seen);
        true
    }

    /// Commits changes of two accounts together with the row that tells of them.
    fn transfer(&self, store: &Subject, transfer: Transfer, changes: [Json; 2]) -> bool {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let Transfer { source, target, amount } = transfer;
        let fields = [("id", id), ("source", source), ("target", target), ("amount", amount)];
        let fields: BTreeMap<_, _> = fields.map(|(name, value)| (name, value.to_string())).into();
        let [take, give] = changes;
        let writes = json!([take, give, { "create": packed("Transfer", json!(fields)) }]);
        let answer = store.try_call("Commit", &json!({ "writes": writes }));
        self.history.lock().unwrap().transfers.insert(id, (transfer, Ending::of(&answer)));
        answer.is_ok()
    }

    /// The server computes the balances.
    fn by_transforms(&self, store: &Subject, transfer: Transfer) -> bool {
        let add = |account: i64, amount: i64| {
            let row = packed("Account", json!({ "id": account.to_string() }));
            let transform = json!({ "field": "balance", "increment": amount.to_string() });
            json!({ "update": { "row": row, "updateMask": "", "transforms": [transform] } })
        };
        let mut take = add(transfer.source, -transfer.amount);
        take["precondition"] = json!({ "condition": format!("balance >= {}", transfer.amount) });
        self.transfer(store, transfer, [take, add(transfer.target, transfer.amount)])
    }

    /// The client computes the balances from what it read.
    fn by_etags(&self, store: &Subject, transfer: Transfer) -> bool {
        let get = |id: i64| store.try_call("GetAccount", &json!({ "id": id.to_string() }));
        let (Ok(source), Ok(target)) = (get(transfer.source), get(transfer.target)) else { return false };
        if number(&source.body["balance"]) < transfer.amount {
            return false;
        }
        let set = |account: i64, read: &Answer, amount: i64| {
            let balance = number(&read.body["balance"]) + amount;
            let row = packed("Account", json!({ "id": account.to_string(), "balance": balance.to_string() }));
            json!({ "update": { "row": row, "updateMask": "balance" }, "precondition": { "etag": read.etag } })
        };
        let take = set(transfer.source, &source, -transfer.amount);
        self.transfer(store, transfer, [take, set(transfer.target, &target, transfer.amount)])
    }
}

impl Workload for Bank {
    fn name(&self) -> &'static str {
        "bank"
    }

    fn clients(&self) -> usize {
        self.clients
    }

    fn prepare(&self, store: &Subject) {
        for id in 1..=ACCOUNTS {
            store.create("Account", json!({ "id": id.to_string(), "balance": EACH.to_string() }));
        }
    }

    fn step(&self, store: &Subject, _: usize, random: &mut StdRng) -> bool {
        let source = random.random_range(1..=ACCOUNTS);
        let target = (source + random.random_range(1..ACCOUNTS) - 1) % ACCOUNTS + 1;
        let transfer = Transfer { source, target, amount: random.random_range(1..=EACH / 2) };
        match random.random_range(0..3) {
            0 => self.look(store),
            1 => self.by_transforms(store, transfer),
            _ => self.by_etags(store, transfer),
        }
    }

    fn check(&self, store: &Subject) -> Result<(), String> {
        let left = balances(&rows(store, "Account", "ListAccounts"));
        let transfers = rows(store, "Transfer", "ListTransfers");
        let told: BTreeMap<i64, Transfer> = transfers.iter().map(|row| (number(&row["id"]), transfer(row))).collect();
        check(&self.history.lock().unwrap(), &left, &told)
    }
}

fn balances(rows: &[Json]) -> Balances {
    rows.iter().map(|row| (number(&row["id"]), number(&row["balance"]))).collect()
}

fn transfer(row: &Json) -> Transfer {
    let [source, target, amount] = ["source", "target", "amount"].map(|field| number(&row[field]));
    Transfer { source, target, amount }
}

/// Whether all that was seen, and what is left, can come of transfers that happen as a whole or not at all.
fn check(history: &History, left: &Balances, told: &BTreeMap<i64, Transfer>) -> Result<(), String> {
    for seen in history.seen.iter().chain([left]) {
        if seen.len() != ACCOUNTS as usize || seen.values().sum::<i64>() != ACCOUNTS * EACH {
            return Err(format!("money was made or lost: {seen:?}"));
        }
        if seen.values().any(|balance| *balance < 0) {
            return Err(format!("an account is overdrawn: {seen:?}"));
        }
    }
    for (id, (transfer, ending)) in &history.transfers {
        match (told.get(id), ending) {
            (None, Ending::Done) => return Err(format!("{transfer:?} was acknowledged and is lost")),
            (Some(_), Ending::Refused) => return Err(format!("{transfer:?} was said not to have happened and did")),
            (Some(told), _) if told != transfer => return Err(format!("{told:?} is not what was asked: {transfer:?}")),
            _ => {}
        }
    }
    let mut expected: Balances = (1..=ACCOUNTS).map(|account| (account, EACH)).collect();
    for (id, transfer) in told {
        if !history.transfers.contains_key(id) {
            return Err(format!("nobody asked for {transfer:?}"));
        }
        *expected.entry(transfer.source).or_default() -= transfer.amount;
        *expected.entry(transfer.target).or_default() += transfer.amount;
    }
    if expected != *left {
        return Err(format!("the transfers that are told come to {expected:?}, the accounts hold {left:?}"));
    }
    Ok(())
}

#[test]
fn what_no_bank_does_is_found() {
    let fair = Transfer { source: 1, target: 2, amount: 5 };
    let start: Balances = (1..=ACCOUNTS).map(|account| (account, EACH)).collect();
    let mut after = start.clone();
    after.extend([(1, EACH - 5), (2, EACH + 5)]);
    let told = BTreeMap::from([(1, fair)]);
    let tried = |ending| History { transfers: BTreeMap::from([(1, (fair, ending))]), seen: vec![start.clone()] };
    let found = |history: &History, left: &Balances, told: &BTreeMap<i64, Transfer>, why: &str| {
        let found = check(history, left, told).unwrap_err();
        assert!(found.contains(why), "{found}");
    };
    check(&tried(Ending::Done), &after, &told).unwrap();
    check(&tried(Ending::Unknown), &after, &told).unwrap();
    check(&tried(Ending::Unknown), &start, &BTreeMap::new()).unwrap();
    check(&tried(Ending::Refused), &start, &BTreeMap::new()).unwrap();
    found(&tried(Ending::Done), &start, &BTreeMap::new(), "is lost");
    found(&tried(Ending::Refused), &after, &told, "said not to have happened");
    found(&tried(Ending::Done), &start, &told, "come to");
    let mut half = tried(Ending::Done);
    half.seen.push(start.iter().map(|(account, balance)| (*account, balance - i64::from(*account == 1))).collect());
    found(&half, &after, &told, "made or lost");
    let mut overdrawn = tried(Ending::Done);
    let moved = |(account, balance): (&i64, &i64)| match account {
        1 => (1, -1),
        2 => (2, balance + EACH + 1),
        _ => (*account, *balance),
    };
    overdrawn.seen.push(start.iter().map(moved).collect());
    found(&overdrawn, &after, &told, "overdrawn");
    found(&History { seen: Vec::new(), ..History::default() }, &after, &told, "nobody asked");
}
