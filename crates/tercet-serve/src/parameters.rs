//! The query string of an address.

use std::str::FromStr;

use crate::refusal::Refusal;

/// Names and values, which are taken out one by one; [`end`](Self::end) refuses those that are
/// left.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn of(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// All values of a name.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        let taken = self.0.extract_if(.., |(own, _)| own == name);
        taken.map(|(_, value)| value).collect()
    }

    /// The value of a name that may be given once.
    pub(crate) fn one(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let mut all = self.all(name);
        match all.len() {
            0 | 1 => Ok(all.pop()),
            times => Err(Refusal::malformed(format!("`{name}` is given {times} times"))),
        }
    }

    /// A value that is parsed as another type.
    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let parsed = text.parse().map_err(|_| Refusal::parameter(name, &text, expected))?;
        Ok(Some(parsed))
    }

    /// A whole number in a range.
    pub(crate) fn number(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<usize>,
        default: usize,
    ) -> Result<usize, Refusal> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.parsed(name, &expected)?.unwrap_or(default);
        match range.contains(&number) {
            true => Ok(number),
            false => Err(Refusal::parameter(name, &number.to_string(), expected)),
        }
    }

    /// A switch, off unless it is `true`.
    pub(crate) fn switch(&mut self, name: &str) -> Result<bool, Refusal> {
        Ok(self.parsed(name, "true or false")?.unwrap_or(false))
    }

    /// `name:value` pairs under one name.
    pub(crate) fn pairs(&mut self, name: &str) -> Result<Vec<(String, String)>, Refusal> {
        let split = |text: String| match text.split_once(':') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(Refusal::parameter(name, &text, "a name and a value, as `camera:1`")),
        };
        self.all(name).into_iter().map(split).collect()
    }

    /// Refuses parameters that were not taken: the request does not know them.
    pub(crate) fn end(self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Refusal::malformed(format!("unknown parameter `{name}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_mistakes_are_named() {
        let mut query =
            Parameters::of(Some("k=3&label=a%26b&label=%E3%81%82&attribute=camera:1:2"));
        assert_eq!(query.number("k", 1..=9, 5).unwrap(), 3);
        assert_eq!(query.all("label"), ["a&b", "あ"]);
        assert_eq!(query.pairs("attribute").unwrap(), [("camera".into(), "1:2".into())]);
        assert_eq!(query.number("limit", 1..=9, 5).unwrap(), 5);
        query.end().unwrap();

        let refused = |text: &str, asked: fn(&mut Parameters) -> Result<(), Refusal>| {
            let mut query = Parameters::of(Some(text));
            let refusal = asked(&mut query).and_then(|()| query.end()).unwrap_err();
            format!("{refusal:?}")
        };
        let k = |query: &mut Parameters| query.number("k", 1..=9, 5).map(drop);
        assert!(refused("k=0", k).contains("`k` is `0`: expected a whole number from 1 to 9"));
        assert!(refused("k=many", k).contains("`k` is `many`"));
        assert!(refused("k=1&k=2", k).contains("given 2 times"));
        assert!(refused("kk=1", k).contains("unknown parameter `kk`"));
        let switch = |query: &mut Parameters| query.switch("exact").map(drop);
        assert!(refused("exact=yes", switch).contains("true or false"));
        let pairs = |query: &mut Parameters| query.pairs("attribute").map(drop);
        assert!(refused("attribute=camera", pairs).contains("`camera:1`"));
    }
}
