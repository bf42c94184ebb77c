//! A receiver of webhooks and partner calls that answers from a script and passes on what it got.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, http::StatusCode, web};
use serde_json::Value;
use std::{
    collections::VecDeque,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What came.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) signature: Option<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) raw: Vec<u8>,
    pub(crate) body: Value,
}

/// One answer: a status and a body, or silence.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Status(u16),
    Json(u16, Value),
    Nothing,
}

pub(crate) struct Receiver {
    pub(crate) url: String,
    got: UnboundedReceiver<Got>,
    handle: ServerHandle,
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Say>>>,
    got: UnboundedSender<Got>,
}

impl Receiver {
    /// Answers as scripted, then 200.
    pub(crate) fn start(answers: impl IntoIterator<Item = Say>) -> Self {
        let (sender, got) = unbounded_channel();
        let script = Script { answers: Arc::new(Mutex::new(answers.into_iter().collect())), got: sender };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = move || App::new().app_data(web::Data::new(script.clone())).default_service(web::to(receive));
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { url, got, handle }
    }

    pub(crate) async fn next(&mut self) -> Got {
        tokio::time::timeout(Duration::from_secs(20), self.got.recv()).await.expect("nothing came").unwrap()
    }

    pub(crate) fn nothing_left(&mut self) -> bool {
        self.got.try_recv().is_err()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn receive(request: HttpRequest, body: web::Bytes, script: web::Data<Script>) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let got = Got {
        path: request.path().to_owned(),
        signature: header("Ashby-Signature"),
        authorization: header("Authorization"),
        raw: body.to_vec(),
        body: serde_json::from_slice(&body).unwrap(),
    };
    script.got.send(got).unwrap();
    let say = script.answers.lock().unwrap().pop_front();
    match say {
        None => HttpResponse::Ok().finish(),
        Some(Say::Status(status)) => HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish(),
        Some(Say::Json(status, body)) => HttpResponse::build(StatusCode::from_u16(status).unwrap()).json(body),
        Some(Say::Nothing) => std::future::pending().await,
    }
}
