//! Lists as CSV and NDJSON: with `page_size` one page, without it all rows, page by page as the client takes them.
//!
//! Memory is one page whatever the table's size. The first page is read before the header is sent, so what is wrong
//! with the request is answered as an error; what fails later breaks the connection, so that the client sees that
//! rows are missing.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, LINK, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use kit_core::{BoxError, Error};
use kit_net::{Body, Response};
use rowkeep_engine::{ListPage, ListRequest, Session};
use rowkeep_record::csv::CsvWriter;
use rowkeep_record::json::WriteOptions;
use rowkeep_record::{ReadMask, Record};
use rowkeep_schema::EntityId;

use super::render;
use super::representation::Representation;
use crate::api::{Api, MethodRef};
use crate::worker::{Shared, Worker};

/// Rows read at once while all are sent.
const PAGE: i32 = 500;

pub(crate) fn is_wanted(form: Representation) -> bool {
    matches!(form, Representation::Csv | Representation::Ndjson)
}

/// Where an export is.
struct Export {
    shared: Arc<Shared>,
    entity: EntityId,
    form: Representation,
    mask: Option<ReadMask>,
    request: ListRequest,
    /// What is sent behind the first page outlives the request's own.
    session: Session,
}

pub(crate) async fn list(
    worker: &Worker,
    method: MethodRef,
    form: Representation,
    head: &Parts,
    request: Bytes,
    session: &Session,
) -> Result<Response, Error> {
    let (mut request, mask) = worker.shared.api.read_list(method, &request)?;
    let all = request.page_size == 0;
    if all {
        request.page_size = PAGE;
    }
    let shared = Arc::clone(&worker.shared);
    let own = Session::new(session.freshness(), session.seen());
    let mut export = Export { shared, entity: method.entity, form, mask, request, session: own };
    let page = export.page().await?;
    session.saw(&export.session.seen(), |_| true);
    let first = export.render(&page, true)?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, form.content_type());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let more = !page.next_page_token.is_empty();
    if more && !all {
        let next = format!("<{}>; rel=\"next\"", render::next_url(head, &page.next_page_token));
        headers.insert(LINK, HeaderValue::try_from(next).map_err(Error::internal)?);
    }
    *response.body_mut() = if more && all {
        export.request.page_token = page.next_page_token;
        Body::unfold(Step::First(first, export), Step::next)
    } else {
        Body::full(first)
    };
    Ok(response)
}

/// What is sent next.
enum Step {
    First(Bytes, Export),
    Page(Export),
    Done,
}

impl Step {
    async fn next(self) -> Result<Option<(Bytes, Self)>, BoxError> {
        match self {
            Self::First(first, export) => Ok(Some((first, Self::Page(export)))),
            Self::Page(mut export) => {
                let page = export.page().await?;
                let chunk = export.render(&page, false)?;
                let more = !page.next_page_token.is_empty();
                export.request.page_token = page.next_page_token;
                Ok(Some((chunk, if more { Self::Page(export) } else { Self::Done })))
            }
            Self::Done => Ok(None),
        }
    }
}

impl Export {
    async fn page(&mut self) -> Result<ListPage, Error> {
        let api: &Api = &self.shared.api;
        let mut page = api.engine.list(self.entity, self.request.clone(), &self.session).await?;
        if let Some(mask) = &self.mask {
            for record in &mut page.records {
                *record = mask.project(record)?;
            }
        }
        Ok(page)
    }

    fn render(&self, page: &ListPage, with_header: bool) -> Result<Bytes, Error> {
        let mut out = Vec::with_capacity(page.records.iter().map(|record| record.wire().len() * 2).sum());
        match self.form {
            Representation::Csv => self.csv(&page.records, with_header, &mut out)?,
            _ => self.ndjson(&page.records, &mut out)?,
        }
        Ok(out.into())
    }

    fn csv(&self, records: &[Record], with_header: bool, out: &mut Vec<u8>) -> Result<(), Error> {
        let codec = &self.shared.api.plans.get(self.entity).codec;
        let writer = match &self.mask {
            Some(mask) => CsvWriter::masked(codec, mask),
            None => CsvWriter::new(codec),
        };
        if with_header {
            writer.header(out);
        }
        records.iter().try_for_each(|record| writer.row(record.wire(), out))
    }

    fn ndjson(&self, records: &[Record], out: &mut Vec<u8>) -> Result<(), Error> {
        let message = self.shared.api.plans.get(self.entity).message;
        for record in records {
            self.shared.api.json().to_json(message, record.wire(), out, WriteOptions::default())?;
            out.push(b'\n');
        }
        Ok(())
    }
}
