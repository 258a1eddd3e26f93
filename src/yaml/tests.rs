use super::*;

fn read(text: &str) -> Node {
    load(&SourceFile::new("t.yaml", text), "M000", Most::MAPPING).expect("loads")
}

fn wrong(text: &str) -> Vec<(String, String)> {
    load(&SourceFile::new("t.yaml", text), "M000", Most::MAPPING)
        .expect_err("is refused")
        .into_iter()
        .map(|finding| (finding.at.short(), finding.message))
        .collect()
}

fn text_at(source: &str, span: Span) -> &str {
    &source[span.start..span.end]
}

#[test]
fn scalars_keep_their_text() {
    let node = read("a: 1.10\nb: 007\nc: yes\nd: '007'\ne: ~\nf:\n");
    let texts: Vec<(&str, bool)> = node
        .entries()
        .unwrap()
        .iter()
        .map(|(_, value)| (value.scalar().unwrap().text.as_str(), value.scalar().unwrap().plain))
        .collect();
    assert_eq!(
        texts,
        [("1.10", true), ("007", true), ("yes", true), ("007", false), ("~", true), ("", true)]
    );
    assert!(node.get("e").unwrap().scalar().unwrap().is_null());
    assert!(node.get("f").unwrap().scalar().unwrap().is_null());
}

#[test]
fn parts_of_scalars_have_places() {
    let source = "é: 1\na: <x via y>\nb: \"<x via y>\"\nc: \"<\\x41 via y>\"\n";
    let node = read(source);
    let a = node.get("a").unwrap().scalar().unwrap();
    assert_eq!(text_at(source, a.part(7, 8)), "y");
    let b = node.get("b").unwrap().scalar().unwrap();
    assert_eq!(text_at(source, b.part(7, 8)), "y");
    let c = node.get("c").unwrap().scalar().unwrap();
    assert_eq!(text_at(source, c.part(0, 1)), "\"<\\x41 via y>\"", "an escaped text has one place");
}

#[test]
fn spans_of_maps_end_with_their_last_entry() {
    let source = "a:\n  b: 1\n  c: 2\n\n# more\nd: {e: 1, f: 2}\n";
    let node = read(source);
    assert_eq!(text_at(source, node.get("a").unwrap().span), "b: 1\n  c: 2");
    assert_eq!(text_at(source, node.get("d").unwrap().span), "{e: 1, f: 2}");
}

#[test]
fn what_the_files_do_not_use_is_refused_with_its_place() {
    assert_eq!(wrong("a: &x 1\nb: 2\n")[0], ("t.yaml:1:4".into(), "an anchor".into()));
    assert_eq!(wrong("a: !!int 1\n")[0].1, "a tag");
    assert_eq!(
        wrong("a: 1\nb:\n\tc: 1\n")[0],
        ("t.yaml:3:1".into(), "a tab indents this line".into())
    );
    assert_eq!(wrong("a: 1\n---\nb: 2\n")[0].1, "a second document starts here");
    assert_eq!(wrong("")[0].1, "the file is empty");
    assert_eq!(wrong("[a]: 1\n")[0].1, "a key that is not a text");
    assert!(wrong("a: [1\n")[0].1.starts_with("this is not YAML"));
}

#[test]
fn all_duplicates_are_reported_together() {
    let found = wrong("a: 1\na: 2\nb: {c: 1, c: 2}\n");
    assert_eq!(
        found,
        [
            ("t.yaml:2:1".to_owned(), "the key `a` stands twice".to_owned()),
            ("t.yaml:3:11".to_owned(), "the key `c` stands twice".to_owned()),
        ]
    );
}

#[test]
fn depth_is_bounded() {
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    assert_eq!(wrong(&deep).len(), 1);
}
