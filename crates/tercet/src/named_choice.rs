//! Enums whose cases have names on the command line and in files.

/// Gives the cases of an enum without fields their names, each written once: `ALL`, `name`,
/// `Display` and `FromStr`.
///
/// ```
/// #[derive(Clone, Copy, PartialEq, Debug)]
/// pub enum Colour {
///     Red,
///     DarkBlue,
/// }
/// tercet::named!(Colour, "colour", [Red = "red", DarkBlue = "dark-blue"]);
///
/// assert_eq!("dark-blue".parse(), Ok(Colour::DarkBlue));
/// assert_eq!(Colour::ALL.map(Colour::name), ["red", "dark-blue"]);
/// let error = "green".parse::<Colour>().unwrap_err().to_string();
/// assert_eq!(error, "unknown colour `green`: expected one of red, dark-blue");
/// ```
#[macro_export]
macro_rules! named {
    ($choice:ident, $what:literal, [$($case:ident = $name:literal),* $(,)?]) => {
        impl $choice {
            /// Every case, in the order in which help and errors list them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$case),*];

            /// The name used on the command line and in files.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$case => $name),*
                }
            }
        }

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
