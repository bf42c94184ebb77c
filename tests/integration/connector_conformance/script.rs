//! A server that hears given calls in order and answers each as told.

use super::fixtures::{Expected, fits};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use serde_json::Value;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// The server. Stops when dropped.
pub(super) struct Script {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
    handle: ServerHandle,
}

#[derive(Default)]
struct State {
    /// `None`: answers everything alike, and compares nothing.
    expected: VecDeque<Expected>,
    always: Option<(u16, Vec<u8>)>,
    wrong: Vec<String>,
    heard: usize,
}

impl Script {
    /// One that expects these calls.
    pub(super) fn of(calls: &[Expected]) -> Self {
        Self::start(State { expected: calls.iter().cloned().collect(), ..State::default() })
    }

    /// One that answers everything with this.
    pub(super) fn always(status: u16, body: Vec<u8>) -> Self {
        Self::start(State { always: Some((status, body)), ..State::default() })
    }

    fn start(state: State) -> Self {
        let state = Arc::new(Mutex::new(state));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = web::Data::from(state.clone());
        let server = HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(hear)))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { url, state, handle }
    }

    pub(super) fn heard(&self) -> usize {
        self.state.lock().unwrap().heard
    }

    /// Panics unless exactly the expected calls were made.
    pub(super) fn finished(&self, file: &str) {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{file}: {}", state.wrong.join("\n"));
        assert!(state.expected.is_empty(), "{file}: not called: {:?}", state.expected.iter().map(|call| &call.path).collect::<Vec<_>>());
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn hear(request: HttpRequest, body: web::Bytes, state: web::Data<Mutex<State>>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    state.heard += 1;
    if let Some((status, body)) = &state.always {
        return answer(*status, body.clone());
    }
    let actual: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if !request.headers().contains_key("authorization") {
        state.wrong.push(format!("{} came without a credential", request.path()));
    }
    match state.expected.pop_front() {
        Some(expected) if expected.path == request.path() && fits(&expected.body, &actual) => {
            answer(expected.status, serde_json::to_vec(&expected.answer).unwrap())
        }
        Some(expected) => {
            let text = format!("expected {} {:#}\nheard    {} {actual:#}", expected.path, expected.body, request.path());
            state.wrong.push(text);
            answer(418, Vec::new())
        }
        None => {
            state.wrong.push(format!("one call too many: {} {actual:#}", request.path()));
            answer(418, Vec::new())
        }
    }
}

fn answer(status: u16, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).content_type("application/json").body(body)
}

/// Answers that no documentation knows.
pub(super) fn nonsense() -> Vec<(u16, Vec<u8>)> {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000)).into_bytes();
    let bodies = [
        &b""[..],
        b"null",
        b"[]",
        b"{}",
        b"7",
        b"<html>",
        b"\xff\x00",
        b"{\"data\":{}}",
        b"{\"data\":null}",
        b"{\"errors\":7}",
        b"{\"success\":true}",
        b"{\"success\":true,\"results\":[7,null,\"x\",{}]}",
        b"{\"success\":true,\"results\":{\"id\":7},\"moreDataAvailable\":\"x\",\"nextCursor\":7}",
        b"{\"success\":false,\"errorInfo\":[]}",
        &deep,
    ];
    [200, 204, 299].into_iter().flat_map(|status| bodies.map(|body| (status, body.to_vec()))).collect()
}
