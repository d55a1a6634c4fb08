//! Logs as files, and reading all that is in one.

use rowkeep_binlog::{Cell, Error, Item, LogFile};
use testkit::{DatabaseServer, Product};

const STATEMENTS: &str = "\
    SET sql_mode = ''; USE test; \
    CREATE TABLE t (id INT UNSIGNED PRIMARY KEY, a TINYINT, b BIGINT, c DECIMAL(20,5), d DOUBLE, e FLOAT, f DATE, g TIME(3), \
      h DATETIME(6), i TIMESTAMP(2) NULL, j YEAR, k CHAR(10), l VARCHAR(300), m TEXT, n LONGBLOB, o BIT(12), p ENUM('x','y'), \
      q SET('u','v','w'), r JSON, s POINT, u MEDIUMINT UNSIGNED); \
    INSERT INTO t VALUES (1, -1, -2, -3.5, 4.5, 5.5, '2024-02-29', '-12:34:56.789', '2024-02-29 23:59:59.999999', \
      '2024-02-29 23:59:59.99', 2024, 'char', 'varchar', 'text', X'00ff', b'101', 'y', 'u,w', \
      '{\"a\": [1, 2.5, \"s\", null, true, {\"k\": 70000}], \"b\": -1}', ST_GeomFromText('POINT(1 2)'), 7); \
    INSERT INTO t (id, l) SELECT id + 1, REPEAT('x', 290) FROM t; \
    UPDATE t SET r = JSON_SET(r, '$.b', 'other'), b = b + 1, l = REPEAT('z', 250); \
    DELETE FROM t WHERE id = 2; \
    BEGIN; INSERT INTO t (id) VALUES (3); SAVEPOINT s; INSERT INTO t (id) VALUES (4); COMMIT; \
    XA START 'x'; INSERT INTO t (id) VALUES (5); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'; \
    DROP TABLE t; ";

/// A log with something of everything.
pub(crate) fn log(product: Product, options: &[&str]) -> Vec<u8> {
    let server = DatabaseServer::start_with(product, options);
    server.admin("FLUSH BINARY LOGS");
    server.admin(STATEMENTS);
    if product == Product::MySql {
        let settings = "SET SESSION binlog_row_value_options = PARTIAL_JSON, binlog_rows_query_log_events = ON; ";
        server.admin(&format!("{settings}{STATEMENTS}"));
        server.admin(&format!(
            "SET SESSION binlog_transaction_compression = ON, binlog_row_image = MINIMAL; {STATEMENTS}"
        ));
        server.admin("SET gtid_next = 'AUTOMATIC:tag'; CREATE DATABASE tagged");
    } else {
        server.admin(
            "USE test; CREATE TABLE c (id INT, v VARCHAR(500) COMPRESSED, b BLOB COMPRESSED, u UUID); \
             INSERT INTO c VALUES (1, REPEAT('x', 400), REPEAT('y', 4000), UUID())",
        );
        server.admin(&format!("SET GLOBAL log_bin_compress = ON; {STATEMENTS}"));
    }
    last_file(&server)
}

/// The log from the last flush until now.
pub(crate) fn last_file(server: &DatabaseServer) -> Vec<u8> {
    server.admin("FLUSH BINARY LOGS");
    let files = server.admin("SHOW BINARY LOGS");
    let name = files.lines().nth_back(1).unwrap().split('\t').next().unwrap().to_owned();
    std::fs::read(server.data_directory().join(name)).unwrap()
}

/// Reads everything that can be read of it; how many cells.
pub(crate) fn read(bytes: &[u8]) -> Result<usize, Error> {
    let mut log = LogFile::new("log", bytes)?;
    let mut cells = 0;
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
                    Cell::Bytes(bytes) => drop(rowkeep_binlog::mariadb_uuid(bytes)),
                    cell => drop(cell.inflated()),
                }
                cells += 1;
            }
        }
    }
    Ok(cells)
}
