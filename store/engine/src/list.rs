//! Pages of rows: keyset paging with sealed tokens that are bound to their query.

use std::sync::Arc;

use kit_core::{Error, Reply};
use rowkeep_record::query::{self, OrderBy, parse_order_by};
use rowkeep_record::{Record, Value};
use rowkeep_schema::{Entity, EntityId};

use crate::engine::Shared;
use crate::plan::{Plan, plan};
use crate::{ListPage, ListRequest, Scan, Session};

/// What the end of a page needs.
struct Page {
    entity: EntityId,
    order: Arc<OrderBy>,
    binding: Vec<u8>,
    size: usize,
}

pub(crate) fn list<'a>(
    shared: &'a Shared,
    id: EntityId,
    request: ListRequest,
    session: &'a Session,
) -> Reply<'a, Result<ListPage, Error>> {
    let (scan, page) = match prepare(shared, id, &request) {
        Ok(prepared) => prepared,
        Err(error) => return Reply::ready(Err(error)),
    };
    let records = shared.rows.scan(&scan, session);
    if !request.include_total_size {
        return records.map(move |records| page.finish(shared, records?));
    }
    let total = shared.rows.count(&Scan { after: None, ..scan }, session);
    Reply::later(async move {
        let mut page = page.finish(shared, records.await?)?;
        page.total_size = Some(total.await?);
        Ok(page)
    })
}

fn prepare(shared: &Shared, id: EntityId, request: &ListRequest) -> Result<(Scan, Page), Error> {
    let entity = shared.entity(id);
    let size = page_size(shared, request.page_size)?;
    let filter = query::filter(&shared.schema, entity, &request.filter, "filter")?;
    let asked =
        parse_order_by(entity, &request.order_by).map_err(|error| error.into_error("order_by", "INVALID_ORDER_BY"))?;
    let Plan { order, access } = plan(entity, filter.as_ref(), &asked)?;
    let binding = binding(shared, entity, request);
    let after = if request.page_token.is_empty() {
        None
    } else {
        Some(open(shared, &binding, &request.page_token, order.len())?)
    };
    let order = Arc::new(order);
    let scan = Scan {
        entity: id,
        filter: filter.map(Arc::new),
        order: Arc::clone(&order),
        after,
        // One more tells whether there is a next page.
        limit: size + 1,
        max_bytes: shared.options.max_page_bytes,
        access,
        view: shared.view(entity, request.show_deleted),
        deadline: request.deadline,
    };
    Ok((scan, Page { entity: id, order, binding, size: size as usize }))
}

fn page_size(shared: &Shared, asked: i32) -> Result<u32, Error> {
    match u32::try_from(asked) {
        Ok(0) => Ok(shared.options.default_page_size),
        Ok(size) => Ok(size.min(shared.options.max_page_size)),
        Err(_) => Err(Error::invalid_field("page_size", "OUT_OF_RANGE", "must be 0 (the default) or more")),
    }
}

/// Everything that must stay the same from page to page; the size may change.
fn binding(shared: &Shared, entity: &Entity, request: &ListRequest) -> Vec<u8> {
    let mut binding = shared.schema.fingerprint.to_be_bytes().to_vec();
    binding.push(u8::from(request.show_deleted));
    for text in [&entity.full_name, &request.filter, &request.order_by] {
        binding.extend_from_slice(&(text.len() as u64).to_be_bytes());
        binding.extend_from_slice(text.as_bytes());
    }
    binding
}

fn open(shared: &Shared, binding: &[u8], token: &str, columns: usize) -> Result<Vec<Value>, Error> {
    let after = shared.tokens.open(binding, token, seconds(shared))?;
    if after.len() == columns {
        return Ok(after);
    }
    // Sealed under the same binding, so only a change of the planner within a schema gets here.
    let description = "belongs to an earlier version of this service; start again without it";
    Err(Error::invalid_field("page_token", "INVALID_PAGE_TOKEN", description))
}

fn seconds(shared: &Shared) -> u64 {
    u64::try_from(shared.now() / 1_000_000).unwrap_or(0)
}

impl Page {
    fn finish(&self, shared: &Shared, mut records: Vec<Record>) -> Result<ListPage, Error> {
        let is_cut = records.len() > self.size;
        records.truncate(self.size);
        let is_full = is_cut || bytes(&records) >= shared.options.max_page_bytes;
        let next_page_token = match records.last().filter(|_| is_full) {
            Some(last) => self.token_behind(shared, last)?,
            None => String::new(),
        };
        Ok(ListPage { records, next_page_token, total_size: None })
    }

    fn token_behind(&self, shared: &Shared, last: &Record) -> Result<String, Error> {
        let mut row = shared.codec(self.entity).decode(last.wire())?.values;
        let after: Vec<_> = self.order.iter().map(|(column, _)| std::mem::take(&mut row[column.index()])).collect();
        Ok(shared.tokens.seal(&self.binding, &after, seconds(shared)))
    }
}

fn bytes(records: &[Record]) -> usize {
    records.iter().map(|record| record.wire().len()).sum()
}
