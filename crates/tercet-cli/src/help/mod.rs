//! The help of every command: commands in groups, flags below headings, examples, and a short form
//! (`-h`) with the flags that most people need.

mod hints;
mod markdown;
mod pages;

pub(crate) use hints::hint;
pub(crate) use markdown::page as reference_page;

use std::fmt::Write;

use clap::Command;

use pages::{GROUPS, PAGES, Page};

/// Adds all of this to the command line.
pub(crate) fn complete(command: Command) -> Command {
    let mut command = with_groups(command);
    for page in PAGES {
        let path: Vec<&str> = page.command.split(' ').collect();
        command = at(command, &path, &|found| with_page(found, page));
    }
    command
}

/// Changes the command at a path of subcommands; a command that this build does not have is
/// skipped.
fn at(command: Command, path: &[&str], change: &dyn Fn(Command) -> Command) -> Command {
    match path.split_first() {
        None => change(command),
        Some((name, rest)) if command.find_subcommand(name).is_some() => {
            command.mut_subcommand(*name, |found| at(found, rest, change))
        }
        Some(_) => command,
    }
}

/// Lists the commands below headings. Commands without a group come last.
fn with_groups(command: Command) -> Command {
    let about = |name: &str| {
        let found = command.find_subcommand(name)?;
        Some((name.to_owned(), found.get_about().map(ToString::to_string).unwrap_or_default()))
    };
    let mut listed: Vec<(&str, Vec<(String, String)>)> = GROUPS
        .iter()
        .map(|(heading, names)| (*heading, names.iter().filter_map(|name| about(name)).collect()))
        .collect();
    let known = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let others = command.get_subcommands().map(Command::get_name).filter(|name| !known(name));
    listed.push(("Other commands", others.filter_map(about).collect()));

    let mut text = String::new();
    for (heading, commands) in listed.iter().filter(|(_, commands)| !commands.is_empty()) {
        let _ = writeln!(text, "{heading}:");
        for (name, about) in commands {
            let _ = writeln!(text, "  {name:<12} {about}");
        }
        text.push('\n');
    }
    command.help_template(format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}Options:\n{{options}}{{after-help}}"
    ))
    .after_help(
        "Examples:\n  \
           tercet train photos --steps 2000        train on a folder with one subfolder per class\n  \
           tercet eval runs/photos-1/model.safetensors photos\n  \
           tercet serve                            a page to try, without any data of your own\n\n\
         `tercet COMMAND -h` lists the most common options of a command, `--help` all of them.",
    )
}

fn with_page(command: Command, page: &Page) -> Command {
    let name = page.command;
    let command = command.mut_args(|argument| {
        let id = argument.get_id().as_str().to_owned();
        let flag = id.replace('_', "-");
        let heading = page.headings.iter().find(|(_, flags)| flags.contains(&flag.as_str()));
        let is_positional = argument.get_long().is_none();
        let is_short =
            page.short.is_empty() || is_positional || page.short.contains(&flag.as_str());
        let argument = match heading {
            Some((heading, _)) => argument.help_heading(*heading),
            None => argument,
        };
        // An argument that is hidden already remains hidden.
        if is_short { argument } else { argument.hide_short_help(true) }
    });
    let examples = format!("Examples:\n{}", page.examples);
    let more = match page.short.is_empty() {
        true => examples.clone(),
        false => format!("{examples}\n\nAll options: tercet {name} --help"),
    };
    command.after_help(more).after_long_help(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(command: &'a Command, path: &str) -> Option<&'a Command> {
        path.split(' ').try_fold(command, |command, name| command.find_subcommand(name))
    }

    #[test]
    fn pages_name_flags_that_exist_and_forget_none() {
        let command = crate::command();
        for page in PAGES {
            let Some(found) = find(&command, page.command) else { continue };
            let shown = found.get_arguments().filter(|flag| !flag.is_hide_set());
            let flags: Vec<&str> = shown.filter_map(|flag| flag.get_long()).collect();
            let listed = page.headings.iter().flat_map(|(_, flags)| flags.iter());
            for flag in listed.clone().chain(page.short) {
                assert!(flags.contains(flag), "tercet {} has no --{flag}", page.command);
            }
            if page.headings.is_empty() {
                continue;
            }
            let listed: Vec<&&str> = listed.collect();
            for flag in flags.iter().filter(|flag| !["help", "version"].contains(flag)) {
                assert!(
                    listed.contains(&flag),
                    "tercet {} --{flag} is below no heading",
                    page.command
                );
            }
        }
    }

    #[test]
    fn every_command_is_in_a_group_and_has_an_example_that_parses() {
        let command = crate::command();
        for found in command.get_subcommands() {
            let name = found.get_name();
            assert!(
                GROUPS.iter().any(|(_, names)| names.contains(&name)),
                "tercet {name} is in no group"
            );
        }
        for page in PAGES.iter().filter(|page| find(&command, page.command).is_some()) {
            for line in page.examples.lines() {
                let line = line.split("   ").find(|part| part.contains("tercet ")).unwrap();
                assert!(line.contains(page.command), "{line}");
                let words = line.split_whitespace();
                let parsed = crate::command().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn short_help_is_short_and_long_help_has_all() {
        let mut command = crate::command();
        let train = command.find_subcommand_mut("train").unwrap();
        let (short, long) = (train.render_help().to_string(), train.render_long_help().to_string());
        assert!(short.lines().count() < 45, "{short}");
        assert!(!short.contains("--constant-share") && long.contains("--constant-share"));
        assert!(short.contains("Examples:") && long.contains("Examples:"));
        let top = command.render_help().to_string();
        assert!(top.contains("Train and evaluate:") && top.contains("  train  "), "{top}");
    }
}
