//! Another judge of the same histories, to have adya's verdict twice: strict serializability and nothing else, by sorting.
//!
//! The longest list that was read of a key is the order of its appends. That, and the order in time, say of many pairs of
//! transactions which is the first. If they can be sorted, the sorted transactions are the execution that was asked for.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Place in the graph: transactions, and moments in time.
type Node = usize;

#[derive(Default)]
struct Graph {
    edges: Vec<Vec<Node>>,
}

/// A transaction that happened: what it did, one operation after the other.
struct Transaction {
    node: Node,
    operations: Vec<Json>,
}

/// Whether a history is strictly serializable.
///
/// # Errors
/// What contradicts it.
pub(crate) fn strictly_serializable(history: &str) -> Result<(), String> {
    let events: Vec<Json> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut graph = Graph::default();
    let (done, open) = in_time(&events, &mut graph);
    let orders = orders(&done)?;
    // What nobody saw need not have happened.
    let is_seen = |transaction: &&Transaction| {
        let mut appends = transaction.operations.iter().filter(|operation| operation[0] == "append");
        appends.any(|append| orders.get(&append[1].to_string()).is_some_and(|order| order.contains(&append[2])))
    };
    let open: Vec<&Transaction> = open.iter().filter(is_seen).collect();
    let mut writers: BTreeMap<(String, String), Node> = BTreeMap::new();
    for transaction in done.iter().chain(open) {
        for append in transaction.operations.iter().filter(|operation| operation[0] == "append") {
            writers.insert((append[1].to_string(), append[2].to_string()), transaction.node);
        }
    }
    by_appends(&orders, &writers, &done, &mut graph)?;
    graph.sort()
}

/// Transactions in the order of time: whatever ended before another began comes before it. Those without an answer have no
/// end.
fn in_time(events: &[Json], graph: &mut Graph) -> (Vec<Transaction>, Vec<Transaction>) {
    let (mut done, mut open) = (Vec::new(), Vec::new());
    let mut under_way: BTreeMap<i64, Node> = BTreeMap::new();
    let mut moment = graph.node();
    for event in events {
        let process = event["process"].as_i64().unwrap();
        let operations = || event["value"].as_array().cloned().unwrap_or_default();
        if event["type"] == "invoke" {
            let node = graph.node();
            graph.edge(moment, node);
            under_way.insert(process, node);
            continue;
        }
        let Some(node) = under_way.remove(&process) else { continue };
        match event["type"].as_str() {
            Some("ok") => {
                let next = graph.node();
                graph.edge(moment, next);
                graph.edge(node, next);
                moment = next;
                done.push(Transaction { node, operations: operations() });
            }
            Some("info") => open.push(Transaction { node, operations: operations() }),
            _ => {}
        }
    }
    (done, open)
}

/// By key, the longest list that was read; every other is its beginning.
fn orders(done: &[Transaction]) -> Result<BTreeMap<String, Vec<Json>>, String> {
    let mut orders: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for (key, list) in done.iter().flat_map(reads) {
        let longest = orders.entry(key.clone()).or_default();
        let shared = longest.len().min(list.len());
        if longest[..shared] != list[..shared] {
            return Err(format!("two orders of {key}: {longest:?}, {list:?}"));
        }
        if list.len() > longest.len() {
            *longest = list;
        }
    }
    Ok(orders)
}

fn reads(transaction: &Transaction) -> impl Iterator<Item = (String, Vec<Json>)> + '_ {
    let reads = transaction.operations.iter().filter(|operation| operation[0] == "r");
    reads.map(|read| (read[1].to_string(), read[2].as_array().cloned().unwrap_or_default()))
}

fn by_appends(
    orders: &BTreeMap<String, Vec<Json>>,
    writers: &BTreeMap<(String, String), Node>,
    done: &[Transaction],
    graph: &mut Graph,
) -> Result<(), String> {
    let writer = |key: &str, item: &Json| {
        let found = writers.get(&(key.to_owned(), item.to_string())).copied();
        found.ok_or_else(|| format!("{item} of {key} was read, and nobody appended it"))
    };
    for (key, order) in orders {
        for pair in order.windows(2) {
            graph.edge(writer(key, &pair[0])?, writer(key, &pair[1])?);
        }
    }
    for transaction in done {
        let mut own: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        for operation in &transaction.operations {
            let key = operation[1].to_string();
            let order = orders.get(&key).map_or(&[][..], Vec::as_slice);
            let own = own.entry(key.clone()).or_default();
            if operation[0] == "append" {
                own.push(operation[2].clone());
                // After all that was seen, if it was not, and after whoever saw all that.
                if !order.contains(&operation[2]) {
                    let readers = done.iter().filter(|other| reads(other).any(|(of, list)| of == key && list == order));
                    readers.for_each(|reader| graph.edge(reader.node, transaction.node));
                    if let Some(last) = order.last() {
                        graph.edge(writer(&key, last)?, transaction.node);
                    }
                }
                continue;
            }
            let list = operation[2].as_array().map_or(&[][..], Vec::as_slice);
            if !list.ends_with(own) {
                return Err(format!("{list:?} was read of {key} after {own:?} were appended"));
            }
            if let Some(last) = list.last() {
                graph.edge(writer(&key, last)?, transaction.node);
            }
            if let Some(next) = order.get(list.len()) {
                graph.edge(transaction.node, writer(&key, next)?);
            }
        }
    }
    Ok(())
}

impl Graph {
    fn node(&mut self) -> Node {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    /// `from` comes first.
    fn edge(&mut self, from: Node, to: Node) {
        if from != to {
            self.edges[from].push(to);
        }
    }

    /// Takes away what nothing comes before, until nothing is left.
    fn sort(&self) -> Result<(), String> {
        let mut before = vec![0; self.edges.len()];
        self.edges.iter().flatten().for_each(|to| before[*to] += 1);
        let mut free: Vec<Node> = (0..before.len()).filter(|node| before[*node] == 0).collect();
        let mut taken = 0;
        while let Some(node) = free.pop() {
            taken += 1;
            for to in &self.edges[node] {
                before[*to] -= 1;
                if before[*to] == 0 {
                    free.push(*to);
                }
            }
        }
        let left = before.len() - taken;
        if left == 0 { Ok(()) } else { Err(format!("{left} transactions and moments come each before the others")) }
    }
}
