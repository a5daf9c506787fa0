//! The reference of all commands as one Markdown page, generated from the same definitions as the
//! help.

use std::fmt::Write;

use clap::{Arg, Command};

/// The beginning of the page.
const HEAD: &str = "# Commands, flags and defaults

This page is generated from the definitions that `tercet COMMAND --help` prints, by
`tercet man --markdown` in a build with all features.

The settings of `tercet train` are also keys of the same names in a file given by `--config FILE.toml`.
";

/// The page: a section for each command, with its usage, its flags and its examples.
pub(crate) fn page(mut command: Command) -> String {
    command.build();
    let mut page = HEAD.to_owned();
    page.push_str("\n## Options of every command\n");
    rows(&mut page, command.get_arguments().filter(|argument| !argument.is_hide_set()));
    sections(&mut page, &command);
    page
}

/// The sections of all subcommands of a command.
fn sections(page: &mut String, above: &Command) {
    // In the order of declaration; changing a command moves it to the end.
    let mut commands: Vec<&Command> = above.get_subcommands().collect();
    commands.sort_by_key(|command| command.get_display_order());
    for command in commands {
        // clap adds `help` to commands with subcommands.
        if command.is_hide_set() || command.get_name() == "help" {
            continue;
        }
        section(page, command);
        sections(page, command);
    }
}

fn section(page: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(|text| prose(&text.to_string())).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).replace("\n       ", "\n");
    // Writing to a string cannot fail.
    let _ = write!(page, "\n## {name}\n\n{about}.\n\n```text\n{}\n```\n", usage.trim_end());

    let own = |argument: &&Arg| {
        let added = ["help", "version"].contains(&argument.get_id().as_str());
        !(argument.is_hide_set() || argument.is_global_set() || added)
    };
    rows(page, command.get_positionals().filter(own));
    let flags = command.get_arguments().filter(|argument| !argument.is_positional());
    rows(page, flags.filter(own));

    let examples = command.get_after_long_help().map(|text| text.to_string());
    let examples = examples.as_deref().and_then(|text| text.strip_prefix("Examples:\n"));
    if let Some(examples) = examples {
        page.push_str("\nExamples:\n\n```text\n");
        for line in examples.lines() {
            let _ = writeln!(page, "{}", line.trim());
        }
        page.push_str("```\n");
    }
}

/// A table of arguments: the notation of each, its default, and its description.
fn rows<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let mut arguments = arguments.peekable();
    let Some(first) = arguments.peek() else { return };
    let kind = if first.is_positional() { "argument" } else { "flag" };
    let _ = write!(page, "\n| {kind} | default | what it does |\n|---|---|---|\n");
    for argument in arguments {
        let written = argument.to_string().replace('|', "\\|");
        let written = match argument.get_short() {
            Some(short) => format!("`-{short}`, `{written}`"),
            None => format!("`{written}`"),
        };
        let help = argument.get_long_help().or(argument.get_help());
        let help = help.map(|text| text.to_string()).unwrap_or_default();
        let (help, default) = with_default(argument, &help);
        let _ = writeln!(page, "| {written} | {} | {} |", prose(&default), prose(&help));
    }
}

/// The description of an argument without its default, and the default: either the one that clap
/// knows, or the one in brackets at the end of the description, for a default that depends on other
/// settings.
fn with_default(argument: &Arg, help: &str) -> (String, String) {
    let (help, written) = match help.trim_end().rsplit_once("[default: ") {
        Some((help, default)) if default.ends_with(']') => {
            (help.trim_end(), default.trim_end_matches(']').to_owned())
        }
        _ => (help.trim_end(), String::new()),
    };
    let known = argument.get_default_values().iter().map(|value| value.to_string_lossy());
    let known = known.collect::<Vec<_>>().join(" ");
    let takes_value = argument.get_action().takes_values();
    let default = if written.is_empty() && takes_value { known } else { written };

    let mut help = help.to_owned();
    let values = argument.get_possible_values();
    let values: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).collect();
    if takes_value && !values.is_empty() {
        let values = values.iter().map(|value| match value.get_help() {
            Some(about) => format!("`{}` ({about})", value.get_name()),
            None => format!("`{}`", value.get_name()),
        });
        let values = values.collect::<Vec<_>>().join(", ");
        let _ = write!(help, ". Values: {values}");
    }
    (help, default)
}

/// Text of the help as the text of a table cell: on one line, with the special characters of
/// Markdown escaped outside of `code`.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut escaped = String::with_capacity(text.len());
    for character in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match character {
            '`' => is_code = !is_code,
            '|' => escaped.push('\\'),
            '*' | '_' | '<' | '[' | ']' | '\\' if !is_code => escaped.push('\\'),
            _ => {}
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_three_cells_and_every_flag_a_row() {
        let page = page(crate::command());
        for line in page.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 4, "{line}");
        }
        for flag in ["--constant-share", "--protocol", "--onnx", "--json", "--quiet"] {
            assert!(page.contains(&format!("`{flag}")), "{flag}");
        }
    }

    #[test]
    fn text_is_escaped_outside_of_code() {
        assert_eq!(prose("a_b\n  `c_d|e` <F>"), "a\\_b `c_d\\|e` \\<F>");
    }

    /// The page of a build without all features would lack flags.
    #[cfg(feature = "full")]
    #[test]
    fn the_page_in_the_book_is_up_to_date() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/book/src/reference/commands.md");
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written == page(crate::command()),
            "{path} differs from the definitions. This command writes it: cargo run --release \
             --features full -- man --markdown > docs/book/src/reference/commands.md"
        );
    }
}
