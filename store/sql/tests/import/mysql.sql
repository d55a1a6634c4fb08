CREATE TABLE everything (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  truth TINYINT(1) NOT NULL DEFAULT 1, tiny TINYINT, small_u SMALLINT UNSIGNED, medium MEDIUMINT, whole INT, whole_u INT UNSIGNED,
  big BIGINT, big_u BIGINT UNSIGNED, f FLOAT, d DOUBLE, dec2 DECIMAL(10,2), dec65 DECIMAL(65,30),
  bit1 BIT(1), bit12 BIT(12), c CHAR(10), vc VARCHAR(40), vc_long VARCHAR(3000), latin VARCHAR(20) CHARACTER SET latin1,
  plain_text TEXT, bin BINARY(4), vb VARBINARY(10), plain_blob BLOB, da DATE, dt DATETIME, dt3 DATETIME(3), ts TIMESTAMP NULL,
  tm TIME(3), y YEAR, js JSON, en ENUM('a', 'it''s', 'D e'), st SET('x', 'y', 'z'), geo GEOMETRY, place POINT SRID 4326,
  shapes GEOMETRYCOLLECTION,
  computed INT AS (whole + 1) VIRTUAL, kept VARCHAR(50) AS (CONCAT(vc, '!')) STORED, sure INT AS (1) STORED NOT NULL,
  hidden INT INVISIBLE,
  KEY by_whole (whole DESC, vc), KEY by_expression ((whole + 2)), KEY by_enum (en), FULLTEXT KEY words (plain_text),
  UNIQUE KEY unseen (vc) INVISIBLE
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;

INSERT INTO everything (tiny, small_u, medium, whole, whole_u, big, big_u, f, d, dec2, dec65, bit1, bit12, c, vc, vc_long, latin,
  plain_text, bin, vb, plain_blob, da, dt, dt3, ts, tm, y, js, en, st, geo, place, shapes, hidden)
VALUES (-128, 65535, -8388608, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, 1.5, 2.25, -12.34,
  12345678901234567890123456789012345.123456789012345678901234567890, b'1', b'101010101010', 'char', 'ünï', 'long', 'café',
  'text', 0x01020304, 0x00ff, 'b', '2024-02-29', '2024-01-31 12:34:56', '2024-01-31 12:34:56.789', '2024-01-31 12:34:56',
  '-08:30:00.125', 2024, '{"a": [1, null, "x"]}', 'it''s', 'x,z', POINT(1, 2), ST_SRID(POINT(3, 4), 4326),
  GEOMETRYCOLLECTION(POINT(1, 2)), 5);

CREATE TABLE defaults (
  id CHAR(36) NOT NULL DEFAULT (UUID()) PRIMARY KEY,
  n INT NOT NULL DEFAULT -5, t VARCHAR(20) NOT NULL DEFAULT 'it''s "so"', null_text VARCHAR(20) DEFAULT 'NULL',
  en ENUM('a', 'b') NOT NULL DEFAULT 'b', bits BIT(8) NOT NULL DEFAULT b'101', de DECIMAL(5,2) NOT NULL DEFAULT 1.50,
  dt DATETIME NOT NULL DEFAULT '1000-01-01 00:00:00', made DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  changed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  js JSON DEFAULT (JSON_ARRAY()), sum INT DEFAULT (1 + 1)
);

CREATE TABLE Cased (id INT PRIMARY KEY, v INT);
CREATE TABLE cased (id INT PRIMARY KEY, v INT);
CREATE VIEW seen AS SELECT id, dec2 FROM everything;
