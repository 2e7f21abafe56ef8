from django.db import models, transaction

from shop.rouse import enqueue


class Customer(models.Model):
    email = models.EmailField(unique=True)


class Mail(models.Model):
    """Mail that waits to be sent, as django-mailer and its kind keep it."""

    to = models.EmailField()
    subject = models.CharField(max_length=200)
    sent_at = models.DateTimeField(null=True)


class Report(models.Model):
    kind = models.CharField(max_length=50)
    customers = models.IntegerField()
    made_at = models.DateTimeField(auto_now_add=True)


def sign_up(email, then=lambda: None):
    """A view's work: the customer and the job that greets them are one transaction."""
    with transaction.atomic():
        customer = Customer.objects.create(email=email)
        enqueue("manage", {"command": "welcome", "args": [str(customer.pk)]})
        then()
        return customer
