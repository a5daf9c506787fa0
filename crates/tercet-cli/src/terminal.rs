//! The width of the terminal, and text that fits it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Narrower terminals are treated as this wide: no readable text fits them.
const NARROWEST: usize = 20;

/// The width in columns of the terminal to which stdout is written; the variable `COLUMNS`
/// overrides it. `None` if the output is written to a file or another program.
pub(crate) fn stdout_width() -> Option<usize> {
    width(std::io::stdout())
}

/// Like [`stdout_width`], for stderr.
pub(crate) fn stderr_width() -> Option<usize> {
    width(std::io::stderr())
}

#[cfg(unix)]
fn width(stream: impl std::os::fd::AsFd) -> Option<usize> {
    chosen(terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0)))
}

#[cfg(not(unix))]
fn width(stream: impl std::io::IsTerminal) -> Option<usize> {
    let size = stream.is_terminal().then(terminal_size::terminal_size).flatten();
    chosen(size.map(|(width, _)| usize::from(width.0)))
}

fn chosen(of_terminal: Option<usize>) -> Option<usize> {
    let given = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok());
    let width = given.filter(|&width: &usize| width > 0).or(of_terminal.filter(|&width| width > 0));
    width.map(|width| width.max(NARROWEST))
}

/// The number of columns that a text uses: two for each wide character, such as those of Chinese
/// and Japanese.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// A text of at most `width` columns; a longer one is shortened in its middle, since both ends of a
/// path or an id are more informative.
pub(crate) fn elided(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let (start, end) = (width.saturating_sub(1) / 3, width.saturating_sub(1) * 2 / 3);
    let take = |budget: usize, letters: &mut dyn Iterator<Item = char>| -> String {
        let mut used = 0;
        letters
            .take_while(|letter| {
                used += letter.width().unwrap_or(0);
                used <= budget
            })
            .collect()
    };
    let head = take(start, &mut text.chars());
    let tail = take(end, &mut text.chars().rev());
    head + "…" + &tail.chars().rev().collect::<String>()
}

/// Text whose lines are at most as long as the terminal is wide, broken between words. A line with
/// two columns is continued below its second column. A command that the reader should type is not
/// broken.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let lines = text.lines().map(|line| match columns(line) <= width {
        true => line.to_owned(),
        false => wrapped_line(line, width),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text before a command in advice.
const COMMAND: &str = ": tercet ";

fn wrapped_line(line: &str, width: usize) -> String {
    if let Some(at) = line.find(COMMAND) {
        let (text, command) = line.split_at(at + 1);
        return wrapped(text, Some(width)) + "\n  " + command.trim_start();
    }
    let indent = indent(line).min(width / 2);
    let (mut lines, mut current) = (Vec::new(), String::new());
    // Text before the indented part is not changed, and keeps its spaces.
    let start = line.len() - line[byte_at(line, indent)..].trim_start().len();
    current.push_str(&line[..start]);
    let mut is_empty = true;
    for word in line[start..].split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(!is_empty);
        if !is_empty && columns(&current) + gap + columns(word) > width {
            lines.push(std::mem::replace(&mut current, " ".repeat(indent)));
        } else if !is_empty {
            current.push(' ');
        }
        current.push_str(word);
        is_empty = false;
    }
    lines.push(current);
    lines.join("\n")
}

/// The column at which the text of a line begins: after its leading spaces, or at its second
/// column.
fn indent(line: &str) -> usize {
    let leading = line.len() - line.trim_start().len();
    match line[leading..].find("  ") {
        Some(gap) => {
            let before = &line[..leading + gap];
            let spaces = line[before.len()..].len() - line[before.len()..].trim_start().len();
            columns(before) + spaces
        }
        None => leading,
    }
}

/// The byte at which a column begins.
fn byte_at(line: &str, column: usize) -> usize {
    let mut used = 0;
    line.char_indices()
        .find(|(_, letter)| {
            let here = used;
            used += letter.width().unwrap_or(0);
            here >= column
        })
        .map_or(line.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(elided("short", 10), "short");
        let got = elided("photos/of/a/holiday/in/spring/0001.jpg", 16);
        assert_eq!(got, "photo…g/0001.jpg");
        assert_eq!(columns(&got), 16);
        let got = elided("日本語の長い名前", 9);
        assert!(columns(&got) <= 9 && got.contains('…') && got.ends_with("名前"), "{got}");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", Some(8)), "one two\nthree");
        assert_eq!(wrapped("one two three", None), "one two three");
        assert_eq!(wrapped("  one two three", Some(10)), "  one two\n  three");
        assert_eq!(wrapped("name  says so much", Some(14)), "name  says so\n      much");
        assert_eq!(wrapped("unbreakable/path x", Some(8)), "unbreakable/path\nx");
        assert_eq!(
            wrapped("it stopped; go on with: tercet train --resume runs/a b", Some(20)),
            "it stopped; go on\nwith:\n  tercet train --resume runs/a b"
        );
        for width in 20..40 {
            let text = wrapped("日本語 の文 も 語 の 間 で 折り 返され ます とも", Some(width));
            assert!(text.lines().all(|line| columns(line) <= width), "{text}");
        }
    }
}
