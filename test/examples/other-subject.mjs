// Loaded into the shop by a test: its mails go out with another subject than the one it waits for.
import Mail from "nodemailer/lib/mailer";

const { sendMail } = Mail.prototype;
Mail.prototype.sendMail = function (mail) {
  return sendMail.call(this, { ...mail, subject: "Goodbye" });
};
