//! Choices that carry a name on the command line and in `config.toml`.

/// `NAMES`, `Display` and `FromStr` of a choice; an unknown name is an error of the key.
macro_rules! named {
    ($choice:ty, $key:literal, [$(($name:literal, $case:expr)),* $(,)?]) => {
        impl $choice {
            /// Every choice with its name.
            const NAMED: &[(&'static str, Self)] = &[$(($name, $case)),*];
        }

        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let named = Self::NAMED.iter().find(|(_, case)| case == self);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }

        impl std::str::FromStr for $choice {
            type Err = $crate::trainer::settings::ConfigError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let named = Self::NAMED.iter().find(|(name, _)| *name == text);
                named.map(|&(_, case)| case).ok_or_else(|| $crate::trainer::settings::ConfigError {
                    key: $key,
                    got: format!("`{text}`"),
                    expected: [$($name),*].join(", "),
                })
            }
        }
    };
}
pub(in crate::trainer) use named;
