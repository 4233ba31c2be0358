#include "core/base/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio Reader(const PemFile& file) {
  return {BIO_new_mem_buf(file.text.data(), static_cast<int>(file.text.size())), &BIO_free};
}

// Otherwise OpenSSL asks the terminal.
int NoPassword(char*, int, int, void*) { return 0; }

absl::Status Problem(const PemFile& file, const std::string& problem) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(file.path, " ", problem));
}

absl::StatusOr<Certificate> FirstCertificate(const PemFile& file) {
  const Bio bio = Reader(file);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr), &X509_free);
  if (!certificate) return Problem(file, "begins with no certificate in PEM");
  return certificate;
}

std::string Text(const ASN1_TIME* time) {
  std::tm parts{};
  char text[32] = "";
  if (ASN1_TIME_to_tm(time, &parts) == 1) {
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  }
  return text;
}

}  // namespace

absl::Status CheckCertificate(const PemFile& file) {
  DDPT_ASSIGN_OR_RETURN(const Certificate certificate, FirstCertificate(file));
  const ASN1_TIME* first = X509_get0_notBefore(certificate.get());
  const ASN1_TIME* last = X509_get0_notAfter(certificate.get());
  if (X509_cmp_current_time(last) < 0) {
    return Problem(file, absl::StrCat("holds a certificate that expired on ", Text(last)));
  }
  if (X509_cmp_current_time(first) > 0) {
    return Problem(file,
                   absl::StrCat("holds a certificate that is not valid before ", Text(first)));
  }
  return absl::OkStatus();
}

absl::Status CheckKey(const PemFile& file, const PemFile& certificate_file) {
  DDPT_ASSIGN_OR_RETURN(const Certificate certificate, FirstCertificate(certificate_file));
  const Bio bio = Reader(file);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassword, nullptr), &EVP_PKEY_free);
  if (!key) return Problem(file, "holds no private key in PEM, or one with a password");
  if (X509_check_private_key(certificate.get(), key.get()) == 1) return absl::OkStatus();
  return Problem(file,
                 absl::StrCat("is not the key of the certificate in ", certificate_file.path));
}

absl::Status CheckAuthorities(const PemFile& file) { return FirstCertificate(file).status(); }

}  // namespace ddpt
