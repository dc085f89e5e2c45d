//! Pages of any list: what is asked for, and the envelope that both generations read.

use agentsight_model::filter::Query;
use agentsight_model::page::{Page, Paged, total_pages};
use agentsight_model::refusal::Refusal;
use agentsight_store::{Error, Extent, Found, Missing};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::answer::ok;
use crate::error::Result;
use crate::urls::Base;

/// `page`, `page_size` and `paginate`.
pub(crate) fn extent(query: &Query) -> Result<Extent> {
    if !flag(query, "paginate")?.unwrap_or(true) {
        return Ok(Extent::Everything);
    }
    let page = Page::parse(query.raw("page"), query.raw("page_size"));
    Ok(Extent::Page(page.map_err(|_| Error::NotFound(Missing::Page))?))
}

/// A parameter that is true or false, where it is given.
pub(crate) fn flag(query: &Query, name: &'static str) -> Result<Option<bool>> {
    let Some(text) = query.get(name) else { return Ok(None) };
    let read = agentsight_model::body::parse_bool(text);
    Ok(Some(read.ok_or_else(|| Refusal::field(name, "Enter true or false."))?))
}

/// The envelope of both generations, or the bare rows.
pub(crate) fn page_of<T: Serialize>(
    found: Found<T>,
    extent: Extent,
    base: &Base,
    uri: &Uri,
    query: &Query,
) -> Response {
    match extent {
        Extent::Everything => ok(&found.rows),
        Extent::Page(page) => ok(&envelope(found, page, base, uri, query)),
    }
}

/// A page with its neighbours' addresses.
pub(crate) fn envelope<T>(found: Found<T>, page: Page, base: &Base, uri: &Uri, query: &Query) -> Paged<T> {
    let pages = total_pages(found.count, page.size);
    let link = |number: u32| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query.0.iter().filter(|(name, _)| name != "page")).append_pair("page", &number.to_string());
        format!("{}{}?{}", base.0, uri.path(), pairs.finish())
    };
    Paged {
        count: found.count,
        page_size: page.size,
        total_pages: pages,
        current_page: found.page,
        next: (found.page < pages).then(|| link(found.page + 1)),
        previous: (found.page > 1).then(|| link(found.page - 1)),
        results: found.rows,
    }
}
