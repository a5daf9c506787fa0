//! A client that can also do what no honest client does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// That this is a refusal in the one form they have; gives its message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        let json = self.json();
        assert_eq!((self.status, json["error"]["code"].as_str()), (status, Some(code)), "{json}");
        json["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// A request in the making.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(address: SocketAddr, method: &'static str, target: &str) -> Self {
        Self { address, method, target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// A form with these parts: name, media type, content.
    pub(crate) fn form(self, parts: &[(&str, &str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (name, kind, content) in parts {
            let head = format!(
                "--edge\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\
                 content-type: {kind}\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--edge--\r\n");
        self.body("multipart/form-data; boundary=edge", body)
    }

    #[track_caller]
    pub(crate) fn send(self) -> Response {
        let mut stream = TcpStream::connect(self.address).unwrap();
        self.start(&mut stream).unwrap();
        // A server that has refused may not want to hear the rest.
        let _ = stream.write_all(&self.body);
        response(&mut stream).unwrap()
    }

    /// Sends the head, which promises the body.
    pub(crate) fn start(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.target);
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !self.headers.iter().any(|(name, _)| name == "host") {
            line("host", &self.address.to_string());
        }
        line("content-length", &self.body.len().to_string());
        self.headers.iter().for_each(|(name, value)| line(name, value));
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())
    }
}

/// Everything until the server closes.
pub(crate) fn response(stream: &mut TcpStream) -> io::Result<Response> {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        read?;
        return Err(io::Error::other(format!("no answer: {:?}", String::from_utf8_lossy(&bytes))));
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(head.clone()))?;
    Ok(Response { status, head, body: bytes[end + 4..].to_vec() })
}
