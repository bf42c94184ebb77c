//! A TCP proxy that can fall silent, or turn everybody away, as networks do.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};

/// Passes bytes on while it is asked to.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    silent: watch::Sender<bool>,
    closed: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, closed) = (watch::Sender::new(false), watch::Sender::new(false));
        let (state, turns_away) = (silent.clone(), closed.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *turns_away.borrow() {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near_read, far_write, state.subscribe(), turns_away.subscribe()));
                tokio::spawn(pass(far_read, near_write, state.subscribe(), turns_away.subscribe()));
            }
        });
        Self { address, silent, closed }
    }

    /// Connections stay open, and nothing comes through any more; new ones too.
    pub(crate) fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// Passes everything on again.
    pub(crate) fn speak(&self) {
        self.silent.send_replace(false);
    }

    /// Ends every connection, and every new one at once: nobody is there any more.
    pub(crate) fn turn_away(&self) {
        self.closed.send_replace(true);
    }

    /// Takes new connections again.
    pub(crate) fn let_in(&self) {
        self.closed.send_replace(false);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silent: watch::Receiver<bool>, mut closed: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = closed.wait_for(|closed| *closed) => return,
        };
        let Ok(read) = read else { return };
        if read == 0 || silent.wait_for(|silent| !*silent).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
