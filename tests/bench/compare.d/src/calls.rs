//! The call of the comparison, as a Series.hr client and as a Thalamus client makes it.
//!
//! A gateway that translates gets the first one, a proxy that forwards gets the second one; the
//! upstream sees the same call from both.

use crate::message::Response;

/// What the upstream takes as `Thalamus-Token`.
pub const TOKEN: &str = "tok-123";

/// Clients' keys that are in use at the same time: `key-000` and on.
const KEYS: usize = 16;

const SERIES_BODY: &str = r#"{"status":"resolved","staffUserId":987654321}"#;
const THALAMUS_BODY: &str = r#"{"statusName":"resolved"}"#;

/// A call with what its answer must be.
pub struct Call {
    requests: Vec<Vec<u8>>,
    status: u16,
    /// What stands in the body of a right answer.
    says: &'static [u8],
}

impl Call {
    /// The call by its vendor's name, `series` or `thalamus`.
    pub fn of(vendor: &str) -> Option<Self> {
        match vendor {
            "series" => Some(Self::series()),
            "thalamus" => Some(Self::thalamus()),
            _ => None,
        }
    }

    fn series() -> Self {
        let request = |key| {
            format!(
                "POST /tickets/10/status HTTP/1.1\r\nHost: api.series.hr\r\napikey: key-{key:03}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{SERIES_BODY}",
                SERIES_BODY.len()
            )
            .into_bytes()
        };
        let requests = (0..KEYS).map(request).collect();
        Self { requests, status: 200, says: b"Status changed to resolved" }
    }

    fn thalamus() -> Self {
        let request = format!(
            "PUT /api/v4/cases/10/transitions HTTP/1.1\r\nHost: cases.example.com\r\n\
             Thalamus-Token: {TOKEN}\r\nThalamus-Touchpoint: web\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{THALAMUS_BODY}",
            THALAMUS_BODY.len()
        );
        Self { requests: vec![request.into_bytes()], status: 201, says: br#""status":"resolved""# }
    }

    /// The bytes of the request with this number; the keys take turns.
    pub fn request(&self, number: usize) -> &[u8] {
        &self.requests[number % self.requests.len()]
    }

    /// Whether this is the answer that the call must get.
    pub fn is_answered_by(&self, response: &Response<'_>) -> bool {
        let body = response.body.as_ref();
        response.status == self.status
            && body.windows(self.says.len()).any(|part| part == self.says)
    }
}
