//! Rows that were asked for by many keys at once, to be handed out in the order they were asked for.

use rowkeep_record::{Key, Record, RecordBatch};

pub(super) struct KeyedRecords {
    pub(super) records: RecordBatch,
    /// Of each of them.
    pub(super) keys: Vec<Key>,
}

impl KeyedRecords {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { records: RecordBatch::with_capacity(rows), keys: Vec::with_capacity(rows) }
    }

    /// The row of each key; `None` for those that were not found.
    pub(super) fn in_order_of(self, asked: &[Key]) -> Vec<Option<Record>> {
        let (records, keys) = (self.records.into_records(), self.keys);
        let mut places: Vec<usize> = (0..keys.len()).collect();
        // Nearly always they are found in the order of their keys, and often asked for in it.
        if !keys.is_sorted() {
            places.sort_by(|one, other| keys[*one].cmp(&keys[*other]));
        }
        let mut next = 0;
        let place = |key: &Key| {
            let of = |place: &usize| keys[*place].cmp(key);
            let is_next = places.get(next).is_some_and(|place| of(place).is_eq());
            let found = if is_next { next } else { places.binary_search_by(of).ok()? };
            next = found + 1;
            Some(places[found])
        };
        asked.iter().map(place).map(|place| place.map(|place| records[place].clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowkeep_record::Value;

    #[test]
    fn each_key_gets_its_row_whatever_the_order() {
        let key = |number: &i64| Key::one(Value::Int(*number));
        for found in [vec![1, 3, 5, 7], vec![7, 1, 5, 3], vec![]] {
            for asked in [vec![1, 3, 5, 7], vec![5, 4, 1, 1, 9, 7, 0], vec![]] {
                let mut keyed = KeyedRecords::with_capacity(2);
                for number in &found {
                    keyed.records.begin().push(u8::try_from(*number).unwrap());
                    keyed.records.finish(1);
                    keyed.keys.push(key(number));
                }
                let keys: Vec<Key> = asked.iter().map(key).collect();
                let rows = keyed.in_order_of(&keys);
                let numbers = rows.iter().map(|row| row.as_ref().map(|row| i64::from(row.wire()[0])));
                let expected = asked.iter().map(|number| found.contains(number).then_some(*number));
                assert_eq!(numbers.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            }
        }
    }
}
