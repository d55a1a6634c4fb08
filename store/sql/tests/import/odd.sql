CREATE TABLE `order` (`group` INT PRIMARY KEY, `select` INT, `message` INT, `option` INT, `reserved` INT, `package` INT,
  `import` INT, `string` INT, `optional` INT, `repeated` INT, `oneof` INT, `map` INT, `true` INT, `inf` INT, `to` INT);
CREATE TABLE `two words` (`a b` INT PRIMARY KEY, ` leading` INT, `a-b` INT, `a_b` INT, `aB` INT, `A__B` INT, KEY `by a b` (`a-b`));
CREATE TABLE `UPPER` (`ID` INT PRIMARY KEY, `Name` INT, `camelCase` INT, `_id` INT);
CREATE TABLE `2fa` (`1st` INT PRIMARY KEY, `2nd` INT, `3` INT, UNIQUE KEY `9` (`2nd`));
CREATE TABLE `größe` (`schlüssel` INT PRIMARY KEY, `表` INT, `é` INT, `"quoted"` INT, `back``tick` INT, `a\b` INT, KEY `größen_der_tabelle` (`表`));
CREATE TABLE `x.y` (`a.b` INT PRIMARY KEY, `c;d` INT, `e/f` INT, `%` INT, `?` INT, `'` INT);
CREATE TABLE `a123456789b123456789c123456789d123456789e123456789f123456789abcd`
  (`k123456789b123456789c123456789d123456789e123456789f123456789abcd` INT PRIMARY KEY,
   `ü123456789b123456789c123456789d123456789e123456789f123456789abcd` INT,
   UNIQUE KEY `i123456789b123456789c123456789d123456789e123456789f123456789abcd`
     (`ü123456789b123456789c123456789d123456789e123456789f123456789abcd`));
CREATE TABLE `user` (id INT PRIMARY KEY, v INT);
CREATE TABLE `users` (id INT PRIMARY KEY, v INT);
CREATE TABLE `host` (id INT PRIMARY KEY, v INT);
CREATE TABLE `host_service` (id INT PRIMARY KEY, v INT);
CREATE TABLE `host_key` (a INT, b INT, v INT, PRIMARY KEY (a, b));
CREATE TABLE `requests` (etag INT PRIMARY KEY, request_id INT, read_mask INT, UNIQUE KEY (request_id), UNIQUE KEY (read_mask));
CREATE TABLE `etags` (id INT PRIMARY KEY, etag INT);
CREATE TABLE `transforms` (id INT PRIMARY KEY, update_mask INT);
CREATE TABLE `get_user_requests` (id INT PRIMARY KEY, v INT);
CREATE TABLE `people` (id INT PRIMARY KEY, v INT);
CREATE TABLE `services` (id INT PRIMARY KEY, v INT);
CREATE TABLE `double` (a INT PRIMARY KEY, b INT, KEY one (b), KEY other (b), UNIQUE KEY again (a), KEY rowkeep_own (b, a));
CREATE TABLE `only` (k INT PRIMARY KEY);
