#include "tests/integration/certificates.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>

#include "core/base/file.h"

namespace ddpt {
namespace {

std::string Text(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

void AddExtension(X509* certificate, int kind, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

TestCertificate NewCertificate(const std::string& name, std::chrono::seconds valid) {
  static std::atomic<long> serial{1};
  TestCertificate made;
  made.key.reset(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  made.certificate.reset(X509_new(), &X509_free);
  X509* certificate = made.certificate.get();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), valid.count());
  X509_set_pubkey(certificate, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return made;
}

void Sign(TestCertificate& made, const TestCertificate& authority) {
  X509_set_issuer_name(made.certificate.get(), X509_get_subject_name(authority.certificate.get()));
  EXPECT_GT(X509_sign(made.certificate.get(), authority.key.get(), EVP_sha256()), 0);
}

}  // namespace

std::string TestCertificate::CertificatePem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate.get());
  return Text(bio);
}

std::string TestCertificate::KeyPem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return Text(bio);
}

void TestCertificate::Write(const std::string& directory, const std::string& name) const {
  EXPECT_TRUE(WriteFileAtomic(directory + "/" + name + ".key", KeyPem()).ok());
  EXPECT_TRUE(WriteFileAtomic(directory + "/" + name + ".pem", CertificatePem()).ok());
}

TestCertificate MakeAuthority(const std::string& name) {
  TestCertificate made = NewCertificate(name, std::chrono::hours(1));
  AddExtension(made.certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  Sign(made, made);
  return made;
}

TestCertificate MakeCertificate(const TestCertificate& authority, const std::string& name,
                                std::chrono::seconds valid) {
  TestCertificate made = NewCertificate(name, valid);
  AddExtension(made.certificate.get(), NID_subject_alt_name, "DNS:" + name);
  Sign(made, authority);
  return made;
}

}  // namespace ddpt
