#include "server/access.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "server/status.h"

namespace ddpt {
namespace {

namespace ge = grpc::experimental;

std::string Authorization(const grpc::ServerContextBase& context) {
  const auto found = context.client_metadata().find("authorization");
  if (found == context.client_metadata().end()) return "";
  return std::string(found->second.data(), found->second.size());
}

std::string CertificateSubject(const grpc::ServerContextBase& context) {
  const auto subjects = context.auth_context()->FindPropertyValues(GRPC_X509_SUBJECT_PROPERTY_NAME);
  return subjects.empty() ? "" : std::string(subjects[0].data(), subjects[0].size());
}

// "ipv4:10.0.0.1:4711" without the port.
std::string Host(const std::string& peer) {
  return absl::StartsWith(peer, "ip") ? peer.substr(0, peer.rfind(':')) : peer;
}

// What a client of reflection is told in that protocol: field 7 of its answers is an error, with
// code and message. Both lengths stay below 128.
std::string ReflectionError(const grpc::Status& status) {
  const std::string message = status.error_message().substr(0, 100);
  const std::string error =
      absl::StrCat("\x08", std::string(1, static_cast<char>(status.error_code())), "\x12",
                   std::string(1, static_cast<char>(message.size())), message);
  return absl::StrCat("\x3a", std::string(1, static_cast<char>(error.size())), error);
}

// An interceptor cannot end a call. This one lets gRPC's own service answer, sends the refusal in
// place of each answer, and at the end as the status.
class Refusal final : public ge::Interceptor {
 public:
  Refusal(const Access& access, std::string method, const grpc::ServerContextBase& context)
      : access_(access), method_(std::move(method)), context_(context) {}

  void Intercept(ge::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            ge::InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      status_ = ToGrpcStatus(access_.Check(method_, context_).status());
    }
    if (!status_.ok()) Refuse(*methods);
    methods->Proceed();
  }

 private:
  void Refuse(ge::InterceptorBatchMethods& methods) const {
    if (methods.QueryInterceptionHookPoint(ge::InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      const grpc::Slice answer(ReflectionError(status_));
      *methods.GetSerializedSendMessage() = grpc::ByteBuffer(&answer, 1);
    }
    if (methods.QueryInterceptionHookPoint(ge::InterceptionHookPoints::PRE_SEND_STATUS)) {
      methods.ModifySendStatus(status_);
    }
  }

  const Access& access_;
  const std::string method_;
  const grpc::ServerContextBase& context_;
  grpc::Status status_;
};

class GuardFactory final : public ge::ServerInterceptorFactoryInterface {
 public:
  explicit GuardFactory(const Access& access) : access_(access) {}

  ge::Interceptor* CreateServerInterceptor(ge::ServerRpcInfo* info) override {
    absl::string_view method = info->method();
    absl::ConsumePrefix(&method, "/");
    if (absl::StartsWith(method, "ddpt.")) return nullptr;
    return new Refusal(access_, std::string(method), *info->server_context());
  }

 private:
  const Access& access_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Access>> Access::Open(const Config& config, const Log& log) {
  std::unique_ptr<TokenFile> file;
  if (!config.tokens.empty()) {
    auto opened = TokenFile::Open(config.tokens, log);
    DDPT_RETURN_IF_ERROR(Annotate(opened.status(), "tokens"));
    file = *std::move(opened);
  }
  return std::unique_ptr<Access>(new Access(std::move(file)));
}

absl::StatusOr<std::string> Access::Check(std::string_view method,
                                          const grpc::ServerContextBase& context) const {
  const auto scope = ScopeOf(method);
  if (tokens_ && scope) return tokens_->Check(Authorization(context), method, *scope);
  const std::string subject = CertificateSubject(context);
  return subject.empty() ? Host(context.peer()) : subject;
}

std::unique_ptr<ge::ServerInterceptorFactoryInterface> Access::Guard() const {
  if (!tokens_) return nullptr;
  return std::make_unique<GuardFactory>(*this);
}

}  // namespace ddpt
