//! RabbitMQ for tests: each test has a virtual host of its own, which goes when the test is over.
//!
//! `ATSHUB_TEST_AMQP_URL` names the broker (default: guest on this machine). Virtual hosts are made with `rabbitmqctl`; for a
//! broker elsewhere, `ATSHUB_TEST_RABBITMQ_API` (`http://user:password@host:15672`) names its management API instead.

use std::{process::Command, time::Duration};
use uuid::Uuid;

const DEFAULT_URL: &str = "amqp://guest:guest@127.0.0.1:5672";

/// A virtual host. Deleted when dropped.
pub(crate) struct VirtualHost {
    name: String,
    users: Vec<String>,
}

impl VirtualHost {
    pub(crate) fn new() -> Self {
        let name = format!("atshub-test-{}", Uuid::now_v7());
        let host = Self { name, users: Vec::new() };
        match api() {
            Some(api) => call(&api, "PUT", &format!("/api/vhosts/{}", host.name), None).map(drop),
            None => ctl(&["add_vhost", &host.name]),
        }
        .unwrap();
        host.permit_own_user();
        host
    }

    fn permit(&self, user: &str, configure: &str, write: &str, read: &str) {
        match api() {
            Some(api) => {
                let body = serde_json::json!({ "configure": configure, "write": write, "read": read });
                call(&api, "PUT", &format!("/api/permissions/{}/{user}", self.name), Some(body)).map(drop)
            }
            None => ctl(&["set_permissions", "-p", &self.name, user, configure, write, read]),
        }
        .unwrap();
    }

    /// The address of this virtual host.
    pub(crate) fn url(&self) -> String {
        format!("{}/{}", base(), self.name)
    }

    /// The address for another machine or port, such as a proxy's.
    pub(crate) fn url_at(&self, address: std::net::SocketAddr) -> String {
        let (front, _) = base().rsplit_once('@').map(|(front, back)| (front.to_owned(), back.to_owned())).unwrap();
        format!("{front}@{address}/{}", self.name)
    }

    /// Makes a user with these permissions, and returns its address of this virtual host.
    pub(crate) fn url_of_new_user(&mut self, configure: &str, write: &str, read: &str) -> String {
        let user = format!("atshub-test-{}", Uuid::now_v7());
        match api() {
            Some(api) => {
                let body = serde_json::json!({ "password": user, "tags": "" });
                call(&api, "PUT", &format!("/api/users/{user}"), Some(body)).map(drop)
            }
            None => ctl(&["add_user", &user, &user]),
        }
        .unwrap();
        self.users.push(user.clone());
        self.permit(&user, configure, write, read);
        let (_, back) = base().rsplit_once('@').map(|(front, back)| (front.to_owned(), back.to_owned())).unwrap();
        format!("amqp://{user}:{user}@{back}/{}", self.name)
    }

    /// Deletes it with everything in it, and makes it again: a broker whose disk is gone.
    pub(crate) fn make_anew(&self) {
        match api() {
            Some(api) => {
                call(&api, "DELETE", &format!("/api/vhosts/{}", self.name), None).unwrap();
                call(&api, "PUT", &format!("/api/vhosts/{}", self.name), None).unwrap();
            }
            None => {
                ctl(&["delete_vhost", &self.name]).unwrap();
                ctl(&["add_vhost", &self.name]).unwrap();
            }
        }
        self.permit_own_user();
    }

    fn permit_own_user(&self) {
        let user = base().rsplit_once('@').and_then(|(front, _)| front.rsplit('/').next()?.split(':').next().map(str::to_owned)).unwrap();
        self.permit(&user, ".*", ".*", ".*");
    }

    /// Has the broker close every connection of this virtual host.
    pub(crate) fn close_all_connections(&self) {
        match api() {
            None => ctl(&["close_all_connections", "--vhost", &self.name, "test"]).unwrap(),
            Some(api) => {
                let all = call(&api, "GET", &format!("/api/vhosts/{}/connections", self.name), None).unwrap();
                for connection in all.as_array().unwrap() {
                    let name = connection["name"].as_str().unwrap().replace(' ', "%20").replace('>', "%3E");
                    call(&api, "DELETE", &format!("/api/connections/{name}"), None).unwrap();
                }
            }
        }
    }
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        for user in &self.users {
            let _ = match api() {
                Some(api) => call(&api, "DELETE", &format!("/api/users/{user}"), None).map(drop),
                None => ctl(&["delete_user", user]),
            };
        }
        let _ = match api() {
            Some(api) => call(&api, "DELETE", &format!("/api/vhosts/{}", self.name), None).map(drop),
            None => ctl(&["delete_vhost", &self.name]),
        };
    }
}

/// The address without a virtual host.
fn base() -> String {
    let url = std::env::var("ATSHUB_TEST_AMQP_URL").unwrap_or_else(|_| DEFAULT_URL.to_owned());
    let (scheme, rest) = url.split_once("://").expect("ATSHUB_TEST_AMQP_URL is not an address");
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    assert!(host.contains('@'), "ATSHUB_TEST_AMQP_URL must name a user: amqp://user:password@host:port");
    format!("{scheme}://{host}")
}

/// Where the broker listens.
pub(crate) fn address() -> String {
    let base = base();
    let host = base.rsplit_once('@').map(|(_, host)| host.to_owned()).unwrap();
    if host.contains(':') { host } else { format!("{host}:5672") }
}

fn api() -> Option<String> {
    std::env::var("ATSHUB_TEST_RABBITMQ_API").ok()
}

fn ctl(arguments: &[&str]) -> Result<(), String> {
    let hint = "; tests need rabbitmqctl (as root or the broker's user), or ATSHUB_TEST_RABBITMQ_API";
    let output = Command::new("rabbitmqctl").args(arguments).output().map_err(|cause| format!("run rabbitmqctl: {cause}{hint}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("rabbitmqctl {arguments:?}: {}{hint}", String::from_utf8_lossy(&output.stderr)))
}

/// One call of the management API, on a thread of its own: tests call this inside and outside of a runtime.
fn call(api: &str, method: &str, path: &str, body: Option<serde_json::Value>) -> Result<serde_json::Value, String> {
    let (url, method) = (format!("{}{path}", api.trim_end_matches('/')), method.to_owned());
    let work = async move {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().map_err(|cause| cause.to_string())?;
        let request = client.request(method.parse().unwrap(), url).json(&body.unwrap_or_else(|| serde_json::json!({})));
        let response = request.send().await.and_then(reqwest::Response::error_for_status).map_err(|cause| cause.to_string())?;
        Ok(response.json().await.unwrap_or_default())
    };
    let thread = std::thread::spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work));
    thread.join().unwrap()
}
