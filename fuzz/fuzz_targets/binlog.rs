//! Any bytes behind a log's first four are transactions or an error; sets of transactions come back as they are printed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowkeep_binlog::{Cell, Error, Item, LogFile, MariaDbGtids, MySqlGtids};

fuzz_target!(|bytes: &[u8]| {
    let _ = read(&[b"\xfebin", bytes].concat());
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(gtids) = text.parse::<MySqlGtids>() {
        assert_eq!(gtids.to_string().parse(), Ok(gtids));
    }
    if let Ok(gtids) = text.parse::<MariaDbGtids>() {
        assert_eq!(gtids.to_string().parse(), Ok(gtids));
    }
});

fn read(bytes: &[u8]) -> Result<(), Error> {
    let mut log = LogFile::new("log", bytes)?;
    while let Some(item) = log.next()? {
        let Item::Rows(mut rows) = item else { continue };
        while let Some(row) = rows.next()? {
            for cell in row.before.iter().chain(&row.after).flat_map(|image| image.cells()) {
                let (column, cell) = cell?;
                match cell {
                    Cell::Json(json) => drop(json.text()),
                    Cell::JsonPatch(patch) => {
                        if let Some(Ok(Some(Cell::Json(before)))) = row.before.map(|before| before.cell(column)) {
                            drop(patch.apply(&before));
                        }
                    }
                    Cell::Decimal(decimal) => drop((decimal.to_string(), decimal.unscaled())),
                    Cell::Timestamp(time) => drop(time.utc()),
                    cell => drop(cell.inflated()),
                }
            }
        }
    }
    Ok(())
}
