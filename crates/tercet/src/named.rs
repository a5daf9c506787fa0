//! Choices that carry a name on the command line and in files.

/// `Display`, `FromStr` for a choice with `ALL` and `name()`.
macro_rules! named {
    ($choice:ty, $what:literal) => {
        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $choice {
            type Err = $crate::Error;

            fn from_str(name: &str) -> Result<Self, $crate::Error> {
                Self::ALL.into_iter().find(|case| case.name() == name).ok_or_else(|| {
                    $crate::Error::UnknownName {
                        what: $what,
                        got: name.to_owned(),
                        expected: Self::ALL.map(|case| case.name()).join(", "),
                    }
                })
            }
        }
    };
}
pub(crate) use named;
