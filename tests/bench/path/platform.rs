//! An interview platform that answers at once, so that what is timed is the path and not the platform: the four operations that
//! the hub asks for, and a count of who was invited how often. It refuses nothing: an invitation made twice is the finding.

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
    thread,
};

/// The token that it is asked with. It accepts any.
pub(crate) const TOKEN: &str = "platform-token";
/// The one role that it has: id and name.
pub(crate) const ROLE: (&str, &str) = ("1201", "Backend engineer");
/// Where its API is, below its address.
pub(crate) const PATH: &str = "/api/v1/graphql";

type Invited = Arc<Mutex<HashMap<String, usize>>>;

/// The running platform. Stops when dropped.
pub(crate) struct Platform {
    url: String,
    invited: Invited,
    handle: ServerHandle,
}

impl Platform {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let invited = Invited::default();
        let shared = web::Data::new(Arc::clone(&invited));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let app = move || App::new().app_data(shared.clone()).route(PATH, web::post().to(answer));
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { url, invited, handle: told.recv().unwrap() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Invitations beyond the first of each person.
    pub(crate) fn doubled(&self) -> usize {
        self.invited.lock().unwrap().values().map(|times| times - 1).sum()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        drop(self.handle.stop(false)); // the order is sent by the call itself, not by awaiting it
    }
}

async fn answer(asked: web::Json<Value>, invited: web::Data<Invited>) -> HttpResponse {
    let query = asked["query"].as_str().unwrap_or_default();
    let page = |nodes: Value| json!({"pageInfo": {"endCursor": null, "hasNextPage": false}, "nodes": nodes});
    let data = if query.contains("createInvitation") {
        let email = asked["variables"]["email"].as_str().unwrap_or_default().to_owned();
        let id = {
            let mut invited = invited.lock().unwrap();
            *invited.entry(email).or_default() += 1;
            invited.len()
        };
        let made =
            json!({"id": format!("i{id}"), "candidacy": {"id": format!("c{id}")}, "link": format!("https://platform.example/i/{id}")});
        json!({"createInvitation": {"assessment": made, "errors": []}})
    } else if query.contains("candidacies(") {
        json!({"candidacies": page(json!([]))})
    } else if query.contains("roles(") {
        json!({"roles": page(json!([{"id": ROLE.0, "name": ROLE.1}]))})
    } else {
        json!({"me": {"name": "Rae Recruiter"}})
    };
    HttpResponse::Ok().json(json!({"data": data}))
}
