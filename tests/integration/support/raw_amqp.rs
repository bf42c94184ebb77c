//! A client of AMQP 0-9-1 that sends whatever bytes it is given: texts that are no UTF-8, tables in tables, bodies of any size. Only
//! publishing with confirms; everything else the broker says is read over.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

const END: u8 = 0xCE;
/// Bytes of a body in one frame.
const CHUNK: usize = 120_000;

pub(crate) struct RawClient {
    stream: TcpStream,
}

/// A short string: its length, then its bytes.
pub(crate) fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

/// A long string, table or array: its length, then its bytes.
pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

impl RawClient {
    /// Connects as `amqp://user:password@host:port/virtual-host` says, and asks for confirms on channel 1.
    pub(crate) fn connect(url: &str) -> Self {
        let rest = url.strip_prefix("amqp://").unwrap();
        let (credentials, rest) = rest.rsplit_once('@').unwrap();
        let (user, password) = credentials.split_once(':').unwrap();
        let (address, host) = rest.split_once('/').unwrap();
        let stream = TcpStream::connect(if address.contains(':') { address.to_owned() } else { format!("{address}:5672") }).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut client = Self { stream };
        client.stream.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
        client.expect(10, 10);
        let secret = format!("\0{user}\0{password}");
        client.method(0, 10, 11, &[long(b""), short(b"PLAIN"), long(secret.as_bytes()), short(b"en_US")].concat());
        client.expect(10, 30);
        client.method(0, 10, 31, &[&2047_u16.to_be_bytes()[..], &131_072_u32.to_be_bytes(), &0_u16.to_be_bytes()].concat());
        client.method(0, 10, 40, &[short(host.as_bytes()), short(b""), vec![0]].concat());
        client.expect(10, 41);
        client.method(1, 20, 10, &short(b""));
        client.expect(20, 11);
        client.method(1, 85, 10, &[0]);
        client.expect(85, 11);
        client
    }

    /// Publishes, and waits for the confirm. `properties` are their flags and what the flags announce.
    pub(crate) fn publish(&mut self, exchange: &str, routing_key: &[u8], properties: &[u8], body: &[u8]) {
        self.method(1, 60, 40, &[&0_u16.to_be_bytes()[..], &short(exchange.as_bytes()), &short(routing_key), &[0]].concat());
        let header = [&60_u16.to_be_bytes()[..], &0_u16.to_be_bytes(), &(body.len() as u64).to_be_bytes(), properties].concat();
        self.frame(2, 1, &header);
        for part in body.chunks(CHUNK) {
            self.frame(3, 1, part);
        }
        self.expect(60, 80);
    }

    fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        self.frame(1, channel, &[&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat());
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let head = [&[kind][..], &channel.to_be_bytes(), &u32::try_from(payload.len()).unwrap().to_be_bytes()].concat();
        self.stream.write_all(&[&head[..], payload, &[END]].concat()).unwrap();
    }

    fn expect(&mut self, class: u16, method: u16) {
        loop {
            let mut head = [0; 7];
            self.stream.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            let mut payload = vec![0; length + 1];
            self.stream.read_exact(&mut payload).unwrap();
            if head[0] == 1 {
                let found = (u16::from_be_bytes([payload[0], payload[1]]), u16::from_be_bytes([payload[2], payload[3]]));
                assert_eq!(found, (class, method), "the broker says: {}", String::from_utf8_lossy(&payload));
                return;
            }
        }
    }
}
