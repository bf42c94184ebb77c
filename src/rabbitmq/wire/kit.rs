//! Tokio as lapin asks for a runtime, but for its kind of stream. Nothing of it decides anything.

use super::Filter;
use async_rs::{
    Tokio,
    traits::{Executor, Reactor, RuntimeKit},
    util::Task,
};
use futures_util::{
    Stream,
    io::{AsyncRead, AsyncWrite},
};
use lapin::tcp::AsyncTcpStream;
use std::{
    future::Future,
    io::{self, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What the filter stands over.
pub(super) type Inner = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

#[derive(Debug, Clone)]
pub(super) struct Kit(Tokio);

impl Kit {
    pub(super) fn current() -> Self {
        Self(Tokio::current())
    }
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Filter;
    type Sleep = <Tokio as Reactor>::Sleep;

    // For sockets that somebody else has opened. lapin has none; the bound that the trait has cannot be named from outside.
    fn register<H: Read + Write + Send + 'static>(&self, _: H) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Filter, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move { Ok(Filter::over(AsyncTcpStream::Plain(connecting.await?))) }
    }
}
