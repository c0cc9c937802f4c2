-- The tables of the store of answers; read by store.py.

CREATE TABLE IF NOT EXISTS heads (
  id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, template TEXT NOT NULL, model TEXT NOT NULL, settings TEXT NOT NULL,
  rules TEXT NOT NULL, UNIQUE (dataset, template, model, settings));
CREATE TABLE IF NOT EXISTS answers (
  head INTEGER NOT NULL, seed BLOB NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL, row BLOB NOT NULL,
  first TEXT NOT NULL, second TEXT NOT NULL, asked INTEGER NOT NULL, answered INTEGER NOT NULL, seconds REAL NOT NULL,
  made REAL NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS by_seed ON answers (head, seed);
CREATE INDEX IF NOT EXISTS by_state ON answers (head, state, seed);
CREATE TABLE IF NOT EXISTS claims (head INTEGER NOT NULL, seed BLOB NOT NULL, owner TEXT NOT NULL,
  PRIMARY KEY (head, seed)) WITHOUT ROWID;
-- What answers come to, so that nobody goes through half a million of them to know it; kept by the triggers below.
CREATE TABLE IF NOT EXISTS tallies (head INTEGER NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL,
  answers INTEGER NOT NULL, twice INTEGER NOT NULL, asked INTEGER NOT NULL, answered INTEGER NOT NULL,
  seconds REAL NOT NULL, PRIMARY KEY (head, state, reason)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON answers BEGIN
  INSERT INTO tallies VALUES
    (new.head, new.state, new.reason, 1, new.second <> '', new.asked, new.answered, new.seconds)
    ON CONFLICT DO UPDATE SET answers = answers + 1, twice = twice + excluded.twice, asked = asked + excluded.asked,
    answered = answered + excluded.answered, seconds = seconds + excluded.seconds;
END;
CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE ON answers BEGIN
  UPDATE tallies SET answers = answers - 1, twice = twice - (old.second <> ''), asked = asked - old.asked,
    answered = answered - old.answered, seconds = seconds - old.seconds
    WHERE head = old.head AND state = old.state AND reason = old.reason;
  INSERT INTO tallies VALUES
    (new.head, new.state, new.reason, 1, new.second <> '', new.asked, new.answered, new.seconds)
    ON CONFLICT DO UPDATE SET answers = answers + 1, twice = twice + excluded.twice, asked = asked + excluded.asked,
    answered = answered + excluded.answered, seconds = seconds + excluded.seconds;
END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON answers BEGIN
  UPDATE tallies SET answers = answers - 1, twice = twice - (old.second <> ''), asked = asked - old.asked,
    answered = answered - old.answered, seconds = seconds - old.seconds
    WHERE head = old.head AND state = old.state AND reason = old.reason;
END;
