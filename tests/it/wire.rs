//! The boot side as bytes on a socket, for requests that only broken clients send. Every wait for an answer
//! has a deadline.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::Value;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a DATA packet without options (RFC 1350 section 5), with its header.
const TFTP_PACKET_BYTES: usize = 516;

/// The boot listeners, as in the server's ready line.
#[derive(Clone, Copy)]
pub struct BootSide {
    pub http: SocketAddr,
    pub tftp: SocketAddr,
}

impl BootSide {
    pub fn of(ready: &Value) -> BootSide {
        let address = |name: &str| {
            let text = ready[name].as_str().expect("a listener");
            text.trim_start_matches("http://").parse().expect("its address")
        };
        BootSide { http: address("boot_http"), tftp: address("tftp") }
    }

    /// The status and the body of a GET of exactly this path.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    /// The status and the body of a POST of exactly this path.
    pub fn post(&self, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.exchange(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// The first packet of the answer to a read of exactly this path: `Ok` with a block of the file, or `Err`
    /// with the code and the message of an ERROR.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, (u8, String)> {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(ANSWER_WITHIN)).expect("a deadline");
        let request = [b"\0\x01", path.as_bytes(), b"\0octet\0"].concat();
        socket.send_to(&request, self.tftp).expect("a request");
        let (mut packet, mut body) = ([0; TFTP_PACKET_BYTES], Vec::new());
        loop {
            let (length, from) = socket.recv_from(&mut packet).expect("an answer");
            let text = || String::from_utf8_lossy(&packet[4..length]).trim_end_matches('\0').to_owned();
            match packet[1] {
                3 => body.extend_from_slice(&packet[4..length]),
                5 => return Err((packet[3], text())),
                other => panic!("a packet of kind {other} for {path}"),
            }
            socket.send_to(&[0, 4, packet[2], packet[3]], from).expect("an ACK");
            if length < TFTP_PACKET_BYTES {
                return Ok(body);
            }
        }
    }

    fn exchange(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).expect("a connection");
        stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a deadline");
        stream.write_all(request.as_bytes()).expect("a request that is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("headers and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }
}
