//! Requests, honest ones and what attacks are made of.

use std::io::{Cursor, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Sound pictures, to be spoilt.
pub(crate) struct Samples {
    pub(crate) pictures: Vec<Vec<u8>>,
    /// Tiny as files, large as pictures: below and above the limit.
    pub(crate) large: [Vec<u8>; 2],
    /// As large as is allowed.
    pub(crate) largest: Vec<u8>,
}

impl Samples {
    pub(crate) fn new() -> Self {
        let noise = RgbImage::from_fn(64, 48, |x, y| {
            let n = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
            Rgb([n as u8, (n >> 8) as u8, (n >> 16) as u8])
        });
        let encoded = |picture: &RgbImage, format| {
            let mut bytes = Cursor::new(Vec::new());
            DynamicImage::from(picture.clone()).write_to(&mut bytes, format).unwrap();
            bytes.into_inner()
        };
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, WebP};
        Self {
            pictures: [Png, Jpeg, WebP, Bmp, Gif, Pnm].map(|format| encoded(&noise, format)).into(),
            large: [(6000, 6000), (9000, 9000)]
                .map(|(width, height)| encoded(&RgbImage::new(width, height), Png)),
            largest: encoded(&RgbImage::new(7000, 7000), Png),
        }
    }

    pub(crate) fn honest(&self, address: SocketAddr) -> Vec<u8> {
        post(address, "/api/search?k=12", "image/png", &self.pictures[0])
    }
}

pub(crate) fn post(address: SocketAddr, target: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Sends bytes and gives the status and head of the answer; 0 if the server closes without one.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(90)))?;
    stream.set_write_timeout(Some(Duration::from_secs(90)))?;
    let _ = stream.write_all(request);
    Ok(answer(&mut stream))
}

/// The status and head of what the server sends until it closes.
pub(crate) fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, head)
}

/// A request without a body, on a connection of its own.
pub(crate) fn get(address: SocketAddr, target: &str) -> std::io::Result<(u16, String)> {
    let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    ask(address, request.as_bytes())
}
