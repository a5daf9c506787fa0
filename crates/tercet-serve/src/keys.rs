//! Authentication: the token of the server, or the cookie that a page gets in exchange for it.

use axum::http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq;

/// The token, and the cookie that a page gets in exchange for it, so that it can also load
/// pictures.
pub(crate) struct Keys {
    token: String,
    /// The name of the cookie. All ports of a host share their cookies: the port in the name
    /// distinguishes several servers on one machine.
    cookie: String,
    /// The value of the cookie: not the token, and only valid for this process.
    session: String,
}

/// The credentials of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials {
    Right,
    /// A token that differs from the server's: a guess, or a mistake.
    WrongToken,
    /// No credentials, or a cookie of an earlier process, which nobody can guess.
    None,
}

impl Keys {
    pub(crate) fn new(token: String) -> Self {
        let [high, low]: [u128; 2] = rand::random();
        let cookie = "tercet-session".to_owned();
        Self { token, cookie, session: format!("{high:032x}{low:032x}") }
    }

    /// The same keys for a server that listens on this port.
    pub(crate) fn at_port(self, port: u16) -> Self {
        Self { cookie: format!("tercet-session-{port}"), ..self }
    }

    pub(crate) fn is_token(&self, given: &str) -> bool {
        same(given, &self.token)
    }

    /// The header that sets the cookie: it is valid for this host only, and scripts cannot read it.
    pub(crate) fn cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.session)
    }

    pub(crate) fn credentials(&self, headers: &HeaderMap) -> Credentials {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let bearer = headers.get(header::AUTHORIZATION).and_then(text);
        if let Some(given) = bearer.as_deref().and_then(|text| text.strip_prefix("Bearer ")) {
            return match self.is_token(given.trim()) {
                true => Credentials::Right,
                false => Credentials::WrongToken,
            };
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(text);
        let given = cookies.flat_map(|text| {
            let pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
            let own = pairs.filter(|(name, _)| *name == self.cookie);
            own.map(|(_, value)| value.to_owned()).collect::<Vec<String>>()
        });
        match given.into_iter().any(|given| same(&given, &self.session)) {
            true => Credentials::Right,
            false => Credentials::None,
        }
    }
}

/// Compares in constant time, so that the time does not show how many characters are right.
fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn token_and_cookie_are_accepted() {
        use Credentials::{None, Right, WrongToken};
        let keys = Keys::new("secret".to_owned()).at_port(8728);
        let with = |name: HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            keys.credentials(&headers)
        };
        assert_eq!(with(header::AUTHORIZATION, "Bearer secret"), Right);
        let cookie = keys.cookie();
        let pair = cookie.split(';').next().unwrap();
        assert!(pair.starts_with("tercet-session-8728="), "{pair}");
        assert_eq!(with(header::COOKIE, &format!("a=b; {pair}")), Right);
        assert_eq!(with(header::AUTHORIZATION, "Bearer secre"), WrongToken);
        assert_eq!(with(header::AUTHORIZATION, "Bearer \u{20}"), WrongToken);
        for wrong in ["secret", "Basic secret"] {
            assert_eq!(with(header::AUTHORIZATION, wrong), None, "{wrong}");
        }
        assert_eq!(with(header::COOKIE, "tercet-session-8728=secret"), None);
        // Another server on this machine has a cookie of its own.
        let other = pair.replace("8728", "8729");
        assert_eq!(with(header::COOKIE, &other), None);
        assert_eq!(keys.credentials(&HeaderMap::new()), None);
    }
}
