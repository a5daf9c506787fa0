//! Tests of sources of texts.

use std::fs;

use super::*;
use crate::data::{Examples, Input, Part, PrepareOptions, Source, Survey, TextInput};

fn list(name: &str, content: impl AsRef<[u8]>) -> Result<Catalogue, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, content).unwrap();
    catalogue(format!("texts:{name}"), &file).map_err(|error| error.to_string())
}

fn texts(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.items.iter().filter_map(|item| item.content.text()).collect()
}

#[test]
fn rows_of_csv_and_json_lines_are_items() {
    let csv = list(
        "x.csv",
        "\u{feff}label,text,split,is_query\n\
         wetter,\"Wird es morgen, in Köln, regnen?\",train,\n\
         time, what time is it ,TEST,1\n\
         time,\"two\nlines\",,0\n",
    )
    .unwrap();
    let expected = ["Wird es morgen, in Köln, regnen?", "what time is it", "two\nlines"];
    assert_eq!(texts(&csv), expected);
    assert_eq!(csv.ids(), ["2", "3", "4"]);
    assert_eq!(csv.labels, ["wetter", "time", "time"].into_iter().collect());
    assert_eq!((csv.part(&[Part::Train]), csv.part(&[Part::Query])), (vec![0], vec![1]));
    assert_eq!(csv.training().unwrap().len(), 1);

    let json = list(
        "x.jsonl",
        "{\"text\": \"Wird es regnen?\", \"label\": 7, \"id\": \"q1\", \"tags\": [1]}\n\n\
         {\"id\": 2, \"is_gallery\": true, \"label\": \"a\", \"text\": \"b\"}\n",
    )
    .unwrap();
    assert_eq!(json.ids(), ["q1", "2"]);
    assert_eq!(json.labels, ["7", "a"].into_iter().collect());
    assert_eq!(json.part(&[Part::Gallery]), [1]);
    let tabs = list("x.tsv", "text\tlabel\na, b\tc\n").unwrap();
    assert_eq!(texts(&tabs), ["a, b"]);
    // The text is part of the fingerprint, since ids may be mere line numbers.
    let other = list("x.tsv", "text\tlabel\na, c\tc\n").unwrap();
    assert_ne!(tabs.fingerprint(), other.fingerprint());
}

#[test]
fn bad_rows_are_named_by_file_and_line() {
    let all =
        list("x.csv", "text,label,split,id\ngood,a,,1\n,a,,2\nb,,,3\nb,a,trian,4\nb,a,,1\nb,a\n")
            .unwrap();
    assert_eq!(all.len(), 1);
    let bad: Vec<String> = all.bad.iter().map(ToString::to_string).collect();
    for (line, part) in [
        (3, "column `text`: it is empty"),
        (4, "column `label`: it is empty"),
        (5, "column `split`: `trian` is none of train, validation"),
        (6, "column `id`: `1` is in line 2 already"),
        (7, "2 fields, expected 4"),
    ] {
        let message = &bad[line - 3];
        assert!(message.contains(&format!("x.csv:{line}: ")), "{message}");
        assert!(message.contains(part), "{message}");
    }
    let message = all.needs_good(false).unwrap_err().to_string();
    assert!(message.contains("x.csv:3") && message.contains("--skip-bad"), "{message}");
    assert!(all.needs_good(true).is_ok());

    let json =
        list("x.jsonl", "{\"text\":\"a\",\"label\":\"b\"}\n[1]\n{\"text\":{},\"label\":1}\n");
    let bad: Vec<String> = json.unwrap().bad.iter().map(ToString::to_string).collect();
    assert!(bad[0].contains("x.jsonl:2: it is no object of JSON"), "{bad:?}");
    assert!(bad[1].contains("x.jsonl:3: `text` is an object, expected a text"), "{bad:?}");
}

#[test]
fn files_that_are_no_tables_of_texts_are_refused() {
    for (name, content, parts) in [
        (
            "x.csv",
            &b"query,label\na,b\n"[..],
            &["x.csv:1", "no column `text`, but `query,label`"][..],
        ),
        ("x.csv", b"text;label\na;b\n", &["no column `text`, but `text;label`"]),
        ("x.csv", b"text,label,text\na,b,c\n", &["the column `text` is there twice"]),
        ("x.csv", b"text,label\n", &["holds no texts"]),
        ("x.jsonl", b"{\"query\":\"a\"}\n", &["x.jsonl:1", "no column `text`, but `query`"]),
        (
            "x.csv",
            b"text,label\ncaf\xe9,a\n",
            &["line 2 is no text in UTF-8", "byte 4 is 0xE9", "iconv -f LATIN1 -t UTF-8"],
        ),
        ("x.jsonl", b"{\"text\":\"\xfc\",\"label\":1}\n", &["line 1", "0xFC", "iconv -f LATIN1"]),
    ] {
        let message = list(name, content).unwrap_err();
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn folders_of_text_files_have_classes_and_parts() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let put = |path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    put("sport/1.txt", "Ein Tor!\n".as_bytes());
    put("sport/deep/2.md", b"two");
    put("news/0001", b"no ending");
    put("news/latin.txt", b"caf\xe9");
    put("news/empty.txt", b" \n");
    put("news/table.json", b"{}");
    put("README.txt", b"outside");
    let source: Source = root.display().to_string().parse().unwrap();
    assert_eq!(source.to_string(), format!("texts:{}", root.display()));
    let all = source.catalogue().unwrap();
    assert_eq!(all.ids(), ["news/0001", "sport/1.txt", "sport/deep/2.md"]);
    assert_eq!(texts(&all), ["no ending", "Ein Tor!", "two"]);
    assert_eq!(all.labels, ["news", "sport", "sport"].into_iter().collect());
    let bad: Vec<String> = all.bad.iter().map(ToString::to_string).collect();
    assert!(bad[0].contains("news/empty.txt: it is empty"), "{bad:?}");
    assert!(bad[1].contains("line 1 is no text in UTF-8 (its byte 4 is 0xE9"), "{bad:?}");
    let problems = all.problems.join("\n");
    assert!(problems.contains("`README.txt`") && problems.contains("1 .json"), "{problems}");

    let parts = tempfile::tempdir().unwrap();
    for path in ["train/a/1.txt", "test/a/1.txt", "test/b/2.txt"] {
        let path = parts.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "text").unwrap();
    }
    let all = catalogue("texts:x".to_owned(), parts.path()).unwrap();
    assert_eq!(all.labels, ["a", "b", "a"].into_iter().collect());
    assert_eq!(all.part(&[Part::Test]), [0, 1]);
}

#[test]
fn tables_are_recognised_by_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, kind) in [
        ("a.csv", "text,label\nx,y\n", "texts"),
        ("b.csv", "path,label,text\nx,y,z\n", "manifest"),
        ("c.csv", "path,label\nx,y\n", "manifest"),
        ("d.jsonl", "{}", "texts"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let source: Source = path.display().to_string().parse().unwrap();
        assert_eq!(source.kind(), kind, "{name}");
    }
}

#[test]
fn a_survey_tells_lengths_and_equal_texts() {
    let all = list("x.csv", "text,label\nabc,a\nabcde,a\nabc,b\nä,b\n").unwrap();
    let survey = Survey::of(&all, None, &|_, _| {}).unwrap();
    let characters = survey.characters.unwrap();
    assert_eq!((characters.min, characters.median, characters.max), (1, 3.0, 5));
    assert_eq!(survey.duplicates[0].items, ["2", "4"]);
    assert_eq!(survey.duplicates[0].classes, 2);
    let table = survey.to_string();
    assert!(table.contains("characters        1 / 3 / 5"), "{table}");
    assert!(table.contains("groups of equal texts: 1\n  2 = 4 (in 2 classes)"), "{table}");
    assert!(!table.contains("width"), "{table}");
}

#[test]
fn texts_are_for_encoders_of_texts_only() {
    let all = list("x.csv", "text,label\nabc,a\n").unwrap();
    let message = all.image(0).unwrap_err().to_string();
    assert!(message.contains("holds texts, not images"), "{message}");
    let input = Input::Texts(TextInput::default());
    let prepare = |catalogue, input: &Input| {
        Examples::prepare(catalogue, input, &PrepareOptions::default(), &|_, _| {})
            .map(|(examples, _)| examples)
            .map_err(|error| error.to_string())
    };
    let examples = prepare(all.clone(), &input).unwrap();
    assert_eq!(examples.texts().unwrap().text(0), "abc");
    assert!(examples.batch(&[0]).is_err());
    let vectors = Input::Vectors(crate::data::Standardization::none(3));
    let message = prepare(all, &vectors).unwrap_err();
    assert!(message.contains("holds texts, not vectors"), "{message}");
    let message = prepare(Source::Glyphs.catalogue().unwrap(), &input).unwrap_err();
    assert!(message.contains("expected texts"), "{message}");
}
