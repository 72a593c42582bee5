//! A relay in front of a store's server, which takes down what that gives to R: what was given only there is looked for in
//! R's memory too.

use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

pub struct Relay {
    address: SocketAddr,
    given: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    /// Passes everything on in both directions, and takes down what comes from the server.
    pub fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let given = Arc::default();
        let of_thread = Arc::clone(&given);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let given = Arc::clone(&of_thread);
                // A connection that breaks is the client's affair.
                std::thread::spawn(move || pass_on(client, server, &given));
            }
        });
        Ok(Self { address, given })
    }

    /// Where R finds the server.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was given so far between two marks, each text once.
    pub fn between(&self, before: &str, after: &str) -> Vec<String> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&given);
        let parts = text.split(before).skip(1);
        let mut texts: Vec<_> =
            parts.filter_map(|part| part.split_once(after)).map(|(text, _)| text.to_owned()).collect();
        texts.retain(|text| !text.is_empty());
        texts.sort_unstable();
        texts.dedup();
        texts
    }
}

fn pass_on(mut client: TcpStream, server: SocketAddr, given: &Mutex<Vec<u8>>) -> Result<()> {
    let mut server = TcpStream::connect(server)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = server.read(&mut buffer)?;
        if length == 0 {
            return client.shutdown(Shutdown::Both);
        }
        given.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
        client.write_all(&buffer[..length])?;
    }
}
