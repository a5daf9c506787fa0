//! A writer that is killed at any moment loses nothing that it has acknowledged.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tercet_gallery::{Duplicates, Item, ReadGallery, Reader, WriteGallery, Writer};

use crate::world::{of, settings, vectors};

const FOLDER: &str = "TERCET_TEST_KILLED_WRITER";
const ROUND: &str = "TERCET_TEST_KILLED_ROUND";

/// Not a test of its own: the writer that the next one starts and kills. It tells each change once
/// the gallery has acknowledged it.
#[test]
fn the_writer_that_is_killed() {
    let (Ok(folder), Ok(round)) = (env::var(FOLDER), env::var(ROUND)) else { return };
    let mut writer = Writer::open(folder).unwrap();
    let mut own = Vec::new();
    for change in 0.. {
        let ids: Vec<String> =
            (0..1 + change % 7).map(|place| format!("{round}-{change}-{place}")).collect();
        let items: Vec<Item> = ids.iter().map(Item::new).collect();
        let rows = vectors(items.len(), 16, change);
        tell("adding", &ids);
        writer.add(of(&rows), &items, Duplicates::Refuse).unwrap();
        tell("added", &ids);
        own.push(ids);
        if change % 4 == 3 {
            let gone = own.remove(own.len() / 2);
            tell("removing", &gone);
            writer.remove(&gone.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            tell("removed", &gone);
        }
        if change % 10 == 9 {
            writer.compact().unwrap();
        }
    }
}

fn tell(what: &str, ids: &[String]) {
    // Past the capture of the test harness, and in one piece.
    let line = format!("\n#{what} {}\n", ids.join(" "));
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

#[test]
fn a_killed_writer_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("gallery");
    drop(Writer::create(&folder, settings(16)).unwrap());
    let mut acknowledged = BTreeSet::new();
    let mut changes = 0;
    for round in 0..100_u64 {
        let (now, in_doubt, told) = run_and_kill(&folder, round, acknowledged);
        changes += told;
        let reader = Reader::open(&folder).unwrap();
        let present: BTreeSet<String> =
            reader.items(None, usize::MAX).unwrap().items.into_iter().map(|item| item.id).collect();
        // What was under way is there as a whole or not at all; all else is exactly as told.
        let settled = |of: &BTreeSet<String>| -> BTreeSet<String> {
            of.difference(&in_doubt).cloned().collect()
        };
        assert_eq!(settled(&present), settled(&now), "round {round}");
        let undecided = in_doubt.iter().filter(|id| present.contains(*id)).count();
        assert!(undecided == 0 || undecided == in_doubt.len(), "round {round}");
        if round % 10 == 9 {
            reader.verify().unwrap();
        }
        acknowledged = present;
    }
    // And leaves no file that does not count.
    drop(Writer::open(&folder).unwrap());
    let sql = rusqlite::Connection::open(folder.join("catalogue.sqlite")).unwrap();
    let count = |of: &str| -> i64 { sql.query_row(of, [], |row| row.get(0)).unwrap() };
    let segments = std::fs::read_dir(&folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".f32"));
    assert_eq!(segments.count() as i64, count("SELECT count(*) FROM segments"));
    assert!(changes > 100, "only {changes} changes were made: the test has tested little");
}

/// What the writer leaves if it is to be believed, what it was about to do, and its changes.
fn run_and_kill(
    folder: &Path,
    round: u64,
    mut now: BTreeSet<String>,
) -> (BTreeSet<String>, BTreeSet<String>, usize) {
    let mut writer = Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed::the_writer_that_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(writer.stdout.take().unwrap());
    // Let it begin, then give it up to 40 ms; a fixed sequence that falls on every step of a change.
    let lines = thread::spawn(move || output.lines().map_while(Result::ok).collect::<Vec<_>>());
    thread::sleep(Duration::from_micros(15_000 + round * 7919 % 40_000));
    writer.kill().unwrap();
    writer.wait().unwrap();
    let (mut in_doubt, mut told) = (BTreeSet::new(), 0);
    for line in lines.join().unwrap() {
        let Some(line) = line.strip_prefix('#') else { continue };
        let Some((what, ids)) = line.split_once(' ') else { continue };
        let ids: BTreeSet<String> = ids.split(' ').map(str::to_owned).collect();
        match what {
            "added" => now.extend(ids),
            "removed" => now.retain(|id| !ids.contains(id)),
            _ => {
                in_doubt = ids;
                continue;
            }
        }
        in_doubt.clear();
        told += 1;
    }
    (now, in_doubt, told)
}
