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
    answers_lost: watch::Sender<bool>,
    closed: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, answers_lost, closed) = (watch::Sender::new(false), watch::Sender::new(false), watch::Sender::new(false));
        let (state, answers, turns_away) = (silent.clone(), answers_lost.clone(), closed.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *turns_away.borrow() {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near_read, far_write, [state.subscribe()], turns_away.subscribe()));
                let answers = [state.subscribe(), answers.subscribe()];
                tokio::spawn(pass(far_read, near_write, answers, turns_away.subscribe()));
            }
        });
        Self { address, silent, answers_lost, closed }
    }

    /// Connections stay open, and nothing comes through any more; new ones too.
    pub(crate) fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// What is asked goes through; no answer comes back.
    pub(crate) fn lose_answers(&self) {
        self.answers_lost.send_replace(true);
    }

    /// Passes everything on again.
    pub(crate) fn speak(&self) {
        self.silent.send_replace(false);
        self.answers_lost.send_replace(false);
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

/// Passes bytes on while none of `silent` holds.
async fn pass<const N: usize>(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut silent: [watch::Receiver<bool>; N],
    mut closed: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = closed.wait_for(|closed| *closed) => return,
        };
        let Ok(read) = read else { return };
        if read == 0 {
            return;
        }
        for silent in &mut silent {
            if silent.wait_for(|silent| !*silent).await.is_err() {
                return;
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
