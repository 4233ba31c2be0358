#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <memory>
#include <string>

namespace ddpt {

// A certificate with its key, made here, valid from an hour ago.
struct TestCertificate {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;

  std::string CertificatePem() const;
  std::string KeyPem() const;
  // Writes both to DIRECTORY/NAME.pem and DIRECTORY/NAME.key.
  void Write(const std::string& directory, const std::string& name) const;
};

// An authority: a certificate signed by its own key.
TestCertificate MakeAuthority(const std::string& name);
// Signed by `authority`, for servers and clients named `name`; its validity ends `valid` from now.
TestCertificate MakeCertificate(const TestCertificate& authority, const std::string& name,
                                std::chrono::seconds valid = std::chrono::hours(1));

}  // namespace ddpt
