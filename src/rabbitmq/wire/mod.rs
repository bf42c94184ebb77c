//! What the broker sends, made safe before lapin reads it. lapin ends the whole connection at the first text that is no UTF-8, at
//! every redelivery again, and it keeps bodies of any size: one message of one producer would cost all tenants their broker. So a
//! stream stands between the connection and lapin that replaces such bytes, cuts large bodies, and flattens deep tables. It
//! follows frames and content only; it answers nothing and changes nothing that the hub sends.

mod content;
mod frames;
mod kit;

pub(super) use frames::{KEPT, cut_of};

use crate::tls::Tls;
use frames::Frames;
use kit::{Inner, Kit};
use lapin::{
    Connection, ConnectionProperties,
    tcp::{AMQPUriTcpExt as _, AsyncTcpStream, RustlsConnector},
    uri::{AMQPScheme, AMQPUri},
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::io::{AsyncRead, AsyncWrite};

/// Bytes read from the connection at a time.
const CHUNK: usize = 64 * 1024;

/// A connection whose incoming frames pass through [`Frames`].
pub(super) struct Filter {
    inner: Inner,
    frames: Frames,
    chunk: Box<[u8]>,
    /// What lapin may read, and how much of it it has read.
    ready: Vec<u8>,
    read: usize,
}

impl Filter {
    fn over(inner: Inner) -> Self {
        Self { inner, frames: Frames::default(), chunk: vec![0; CHUNK].into(), ready: Vec::new(), read: 0 }
    }
}

impl AsyncRead for Filter {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let waiting = this.ready.get(this.read..).unwrap_or_default();
            if !waiting.is_empty() {
                let count = waiting.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), waiting.get(..count)) {
                    to.copy_from_slice(from);
                }
                this.read += count;
                return Poll::Ready(Ok(count));
            }
            (this.read, _) = (0, this.ready.clear());
            let count = ready!(Pin::new(&mut this.inner).poll_read(context, &mut this.chunk))?;
            if count == 0 {
                return Poll::Ready(Ok(0)); // half a frame at the end is of no use to lapin either
            }
            this.frames.pass(this.chunk.get(..count).unwrap_or_default(), &mut this.ready);
        }
    }
}

impl AsyncWrite for Filter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(context)
    }
}

/// Connects as lapin would, with the hub's own TLS, and with the filter in between.
pub(super) async fn connect(uri: AMQPUri, tls: Tls, properties: ConnectionProperties) -> lapin::Result<Connection> {
    let dial = async move |uri: AMQPUri, kit: async_rs::Runtime<Kit>| {
        let _ = kit; // the filter's own kind of stream stands over what tokio connects
        let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
        let inner = plain.connect_async(&async_rs::Runtime::tokio_current()).await?;
        let inner = match uri.scheme {
            AMQPScheme::AMQP => inner,
            AMQPScheme::AMQPS => {
                let client = tls.client().map_err(io::Error::other)?;
                inner.into_rustls(&RustlsConnector::from(client), &uri.authority.host).await?
            }
        };
        Ok(AsyncTcpStream::Plain(Filter::over(inner)))
    };
    Connection::connector(uri, async_rs::Runtime::new(Kit::current()), dial, properties).await
}
