//! The command that repeats a run.

use toml::Value;

use super::TrainConfig;
use crate::data::Source;
use crate::sharing::{PATTERN, file_name, source_name};

impl TrainConfig {
    /// The command with these settings: the source, and a flag for each setting that differs from
    /// the default of that source. Paths are reduced to their file names, so that the command can
    /// be shared.
    pub fn command(&self) -> String {
        let source: Option<Source> = self.source.parse().ok();
        let mut defaults = source.as_ref().map_or_else(Self::default, Self::suited_to);
        if self.backbone.is_some() {
            defaults = defaults.on_a_backbone();
        }
        let [Ok(own), Ok(defaults)] = [self, &defaults].map(toml::Table::try_from) else {
            return "tercet train".to_owned();
        };
        let mut words = vec!["tercet".to_owned(), "train".to_owned()];
        words.push(quoted(&source_name(&self.source)));
        for (key, value) in &own {
            if key == "source" || defaults.get(key) == Some(value) {
                continue;
            }
            let text = match value {
                Value::Boolean(true) => {
                    words.push(format!("--{key}"));
                    continue;
                }
                Value::String(text) if text.contains('/') && key != PATTERN => {
                    file_name(text).unwrap_or_else(|| text.clone())
                }
                Value::String(text) => text.clone(),
                Value::Array(_) | Value::Table(_) => "FILE".to_owned(),
                other => other.to_string(),
            };
            words.push(format!("--{key} {}", quoted(&text)));
        }
        words.join(" ")
    }
}

/// A word as a shell reads it, in quotes if needed.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_.,:=/%+@".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_what_differs_from_the_defaults() {
        assert_eq!(TrainConfig::default().command(), "tercet train glyphs");
        let config = TrainConfig {
            source: "folder:/home/ann/my photos".to_owned(),
            steps: 300,
            skip_bad: true,
            margin: Some("soft".parse().unwrap()),
            pretrained: Some("/home/ann/resnet18.pth".into()),
            ..TrainConfig::default()
        };
        let command = config.command();
        assert!(command.starts_with("tercet train 'folder:my photos' --"), "{command}");
        for flag in ["--skip-bad", "--steps 300", "--margin soft", "--pretrained resnet18.pth"] {
            assert!(command.contains(flag), "{command}");
        }
        assert_eq!(command.matches(" --").count(), 4, "{command}");
    }
}
