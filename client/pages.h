#pragma once

#include "absl/status/statusor.h"
#include "client/client.h"
#include "core/base/status.h"

namespace ddpt {

// All pages of a list in one response, from the one that `request` names on:
//
//   AllPages(client, request, &Client::ListTasks)
//
// A call a page; the first error ends it.
template <typename Request, typename Response>
absl::StatusOr<Response> AllPages(Client& client, Request request,
                                  absl::StatusOr<Response> (Client::*list)(const Request&)) {
  Response all;
  do {
    DDPT_ASSIGN_OR_RETURN(const Response page, (client.*list)(request));
    all.MergeFrom(page);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  all.clear_next_page_token();
  return all;
}

}  // namespace ddpt
