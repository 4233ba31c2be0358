#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/client.h"
#include "tests/client/fake_server.h"

namespace ddpt {
namespace {

using testing::ElementsAre;

// Fails before any message as often as told, then streams `texts` and ends with `end`.
class FakeCode : public v1::CodeService::Service {
 public:
  grpc::Status Generate(grpc::ServerContext*, const v1::GenerateRequest*,
                        grpc::ServerWriter<v1::GenerateResponse>* writer) override {
    ++calls;
    if (failures-- > 0) return Unavailable();
    for (const std::string& text : texts) {
      v1::GenerateResponse message;
      message.set_text(text);
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
    }
    return end;
  }

  int calls = 0;
  int failures = 0;
  std::vector<std::string> texts = {"a", "b"};
  grpc::Status end = grpc::Status::OK;
};

// Streams events 1..4 in two attachments: the first breaks after event 2, the second sends the last
// event once more.
class FakeTraining : public v1::TrainingService::Service {
 public:
  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override {
    after.push_back(request->after_event());
    if (refuse) return {grpc::StatusCode::NOT_FOUND, "no such job"};
    const bool first = after.size() == 1;
    for (uint64_t i = first ? 1 : request->after_event(); i <= (first ? 2 : 4); ++i) {
      v1::JobEvent event;
      event.set_event(i);
      writer->Write(event);
    }
    return first ? Unavailable() : grpc::Status::OK;
  }

  bool refuse = false;
  std::vector<uint64_t> after;
};

absl::Status Collect(Client& client, std::vector<std::string>& texts) {
  return client.Generate({}, [&](const v1::GenerateResponse& message) {
    texts.push_back(message.text());
    return true;
  });
}

TEST(ClientStreamTest, BeginsAgainBeforeTheFirstMessage) {
  FakeCode code;
  code.failures = 2;
  const FakeServer server({&code});
  std::vector<std::string> texts;
  EXPECT_TRUE(Collect(*server.Connect(), texts).ok());
  EXPECT_THAT(texts, ElementsAre("a", "b"));
  EXPECT_EQ(code.calls, 3);
}

TEST(ClientStreamTest, NeverBeginsAgainAfterTheFirstMessage) {
  FakeCode code;
  code.end = Unavailable();
  const FakeServer server({&code});
  std::vector<std::string> texts;
  EXPECT_TRUE(absl::IsUnavailable(Collect(*server.Connect(), texts)));
  EXPECT_THAT(texts, ElementsAre("a", "b"));
  EXPECT_EQ(code.calls, 1);
}

TEST(ClientStreamTest, StopsWhenTheCallbackSaysSo) {
  FakeCode code;
  const FakeServer server({&code});
  int messages = 0;
  const absl::Status status = server.Connect()->Generate({}, [&](const v1::GenerateResponse&) {
    ++messages;
    return false;
  });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(messages, 1);
}

TEST(ClientStreamTest, WatchGoesOnWhereItBroke) {
  FakeTraining training;
  const FakeServer server({&training});
  std::vector<uint64_t> events;
  const absl::Status status = server.Connect()->WatchJob({}, [&](const v1::JobEvent& event) {
    events.push_back(event.event());
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(training.after, ElementsAre(0, 2));
  EXPECT_THAT(events, ElementsAre(1, 2, 3, 4));
}

TEST(ClientStreamTest, WatchEndsWithTheServersError) {
  FakeTraining training;
  training.refuse = true;
  const FakeServer server({&training});
  const absl::Status status =
      server.Connect()->WatchJob({}, [](const v1::JobEvent&) { return true; });
  EXPECT_EQ(status, absl::NotFoundError("no such job"));
}

}  // namespace
}  // namespace ddpt
