//! The places in a route, for texts that had colours.
use tapline_core::records::Field;
use tapline_core::records::route::Route;
use tapline_core::span::{At, Span};

/// Shows every span of a route to `f`.
pub(super) fn each(route: &mut Route, f: &mut impl FnMut(&mut Span)) {
    fn at<T>(it: Option<&mut At<T>>, f: &mut impl FnMut(&mut Span)) {
        if let Some(it) = it {
            f(&mut it.span);
        }
    }
    fn fields(all: &mut [Field], f: &mut impl FnMut(&mut Span)) {
        for field in all {
            f(&mut field.value.span);
        }
    }
    f(&mut route.at);
    at(route.destination.as_mut(), f);
    at(route.via.as_mut(), f);
    at(route.dev.as_mut(), f);
    at(route.table.as_mut(), f);
    route.flags.iter_mut().for_each(|flag| f(&mut flag.span));
    fields(&mut route.other, f);
    for hop in &mut route.nexthops {
        f(&mut hop.at);
        at(hop.via.as_mut(), f);
        at(hop.dev.as_mut(), f);
        hop.flags.iter_mut().for_each(|flag| f(&mut flag.span));
        fields(&mut hop.other, f);
    }
}
