//! What changes a file's hash, and what does not.

use windrose_core::dag_file::content_hash;

const FILE: &str = "retries = 16\nname = \"a\"\n[t]\nx = 1\ny = [1, 2]\n";

fn hash(text: &str) -> String {
    content_hash(text).unwrap()
}

#[test]
fn layout_does_not_change_the_hash() {
    let relaid = "# comment\nname = 'a' # here too\n\n  t = { y = [\n 1,\n 2 ],  x = 1 }\nretries = 0x10\n";
    assert_eq!(hash(FILE), hash(relaid));
    assert_eq!(hash(FILE).len(), 64);
}

#[test]
fn content_changes_the_hash() {
    for (from, to) in
        [("16", "17"), ("\"a\"", "\"b\""), ("[1, 2]", "[2, 1]"), ("x", "z"), ("16", "16.0"), ("16", "'16'")]
    {
        assert_ne!(hash(FILE), hash(&FILE.replacen(from, to, 1)), "{from} → {to}");
    }
    assert_ne!(hash("a = 2026-01-01"), hash("a = '2026-01-01'"));
    assert_ne!(hash("a = ['b', 'c']"), hash("a = ['bc']"));
}

#[test]
fn what_is_not_toml_has_no_hash() {
    assert!(content_hash("a = ").is_err());
}
