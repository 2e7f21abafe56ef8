from django.core.management.base import BaseCommand
from shop.models import Customer, Mail


class Command(BaseCommand):
    help = "Queues the welcome mail of a customer"

    def add_arguments(self, parser):
        parser.add_argument("customer", type=int)

    def handle(self, customer, **options):
        customer = Customer.objects.get(pk=customer)
        Mail.objects.create(to=customer.email, subject="Welcome")
        self.stdout.write(f"welcome mail for {customer.email} is queued")
